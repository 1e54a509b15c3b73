"""Models of connectionist temporal classification as models of `neural`, and the searches over what they give."""
