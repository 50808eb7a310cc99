"""Where archived objects are kept: a folder of the node, and PACS that get them too."""
