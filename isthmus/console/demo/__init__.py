"""The demo: real flights, a played back office, real processes, and an oracle that judges the outcome."""
