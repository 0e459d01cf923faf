"""The operators' page: what services know, shown; what an operator decides, handed back to services."""
