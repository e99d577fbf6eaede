"""Everything that touches aiohttp, and everything that decides what may be sent where."""
