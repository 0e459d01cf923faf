"""HTTP only: each route reads the request, calls one use case, and words the answer."""
