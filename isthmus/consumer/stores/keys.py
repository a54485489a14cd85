"""How an entity key becomes the values of key columns: `isthmus.keytemplates`, under the name that stores know."""

from isthmus.keytemplates import WHOLE, WRONG_SHAPE, KeyTemplates

__all__ = ["WHOLE", "WRONG_SHAPE", "KeyTemplates"]
