"""Front-office stores: where deciding and writing are one transaction."""
