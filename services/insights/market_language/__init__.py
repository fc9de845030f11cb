"""Scores texts in the language of markets, where VADER's everyday meanings mislead.

"Costs fall" is good news and "profit falls" is bad: what a movement means depends on what moves.
`lexicon` has the phrases and words with their weights, `movements` combines quantities with
movements, and `clauses` handles negation and contrast. Start at `scorer`. All of it is pure.
"""
