"""What goes over the wire: strict payloads in, an explicit list of fields out, every bound stated here."""
