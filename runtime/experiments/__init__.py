"""Strategies on recorded branches: traces, their replay under a virtual clock, and reports of it.

``traces`` reads recordings and ``recorder`` writes them; ``simulator`` runs one race of a live
strategy over recorded branches; ``replay`` runs very many of them on all cores; ``comparison``
makes rows of figures with paired intervals out of them and ``report`` shows those.
"""
