"""The demo's judge: it computes what a run must have led to, and says where the run differs.

Independent on purpose: nothing here imports the pipeline, the simulated back office or Isthmus itself. It reads the
packaged flight data, the two databases and the stream, and changes none of them.
"""
