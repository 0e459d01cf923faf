"""Stalls in real streets: cut out of other real pictures, or built of table, goods, umbrella and attendant.

A stall's box is the tight box around the visible part of cart or table, its goods and its canopy; people
beside it are labelled apart. `stalls.csv` and `people.csv` say which labelled boxes gave a mask worth using,
chosen by looking at every mask, and how tall the thing in the box is in metres.
"""
