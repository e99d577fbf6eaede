"""The endpoints of the API, and every path of it, once."""
