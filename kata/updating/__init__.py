"""How `kata update` works: two trees and what is known of the first become a list of steps.

`source` reads the new version (`fetch` with git), `trees` what lies here, `plan` decides and does
nothing, `steps` keeps copies and writes. git is only one of the ways to get the new version: what
is decided about a file is the same with and without it.
"""
