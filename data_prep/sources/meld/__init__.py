"""MELD: its official tables, alone or with the media of its raw release."""
