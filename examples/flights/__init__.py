"""The flights out of New York in 2013: a simulated back office, and the pipeline that brings it to a front office.

`pipeline` and `front_office` are what a user of Isthmus writes. `data`, `lives`, `backoffice`, `simulate` and `parent`
play the company's back office. `clocks` serves both.
"""
