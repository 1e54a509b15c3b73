"""How the recogniser's models of German, Spanish, French and Italian are made, and the data of its spoken forms."""
