"""Operations that moto does not know, one module for each service; each has `apply()`.

What an addition keeps, it keeps in moto's own backend objects as plain dictionaries, lists and text,
so that `engine.dump` can write it down.
"""
