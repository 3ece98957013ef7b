"""Mutation testing of the grader's checks: small mistakes made on purpose, to see whether the checks notice each of them.

    python -m benchmarks.mutation                     every exercise; about ten minutes on two cores
    python -m benchmarks.mutation --exercise adam     one exercise; --assignment 03 for one assignment

`operators` makes the mutants of a source text, `subjects` says whose functions are mutated, `trial` grades them in processes
with limits, `report` settles what is equivalent and writes the tables.
"""
