"""The files of a dataset: found, told apart and opened, alike for a form that looks them over and a trainer that reads them.

Nothing here loads torch or a library of the Hub.
"""
