"""Races over recorded branches, under a virtual clock."""
