"""A proxy that misbehaves by a seeded plan, between the program and its services: AWS emulators and PostgreSQL.

It lets everything pass but what the plan strikes, and counts a fault when its effect has really happened. It changes
requests after they were signed, so it is of use only in front of an endpoint that does not check signatures.

There is one proxy and two kinds of plans (`planned`): the demo's strikes (`faults`, `schedule`: `python -m
isthmus.console.proxy`), and a user's rules (`planfile`, `rules`: `isthmus dev proxy`). What a fault does is told once
(`kinds`, `behaviour`), and happens to requests of HTTP/1.1 and 2 alike (`desk`), or to sessions (`postgres`).
"""
