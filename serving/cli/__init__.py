"""The commands, by what one is about to do; `callsheet.py` puts them together. Rooms decide, these only print."""
