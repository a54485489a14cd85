"""A proxy that misbehaves by a seeded plan, between the program and an AWS emulator on this machine.

It lets everything pass but what the plan strikes, and counts a fault when its effect has really happened. It changes
requests after they were signed, so it is of use only in front of an endpoint that does not check signatures.
"""
