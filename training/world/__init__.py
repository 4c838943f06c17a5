"""The synthetic CRM: a world with hidden tastes and ties, the tables it leaves behind, and the truth kept apart."""
