"""An oracle in the shape of Jepsen's: clients with a history, a nemesis, and checks of what was promised."""
