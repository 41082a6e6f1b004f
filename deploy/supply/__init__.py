"""What the product is made of: licences of its dependencies, and advisories about them."""
