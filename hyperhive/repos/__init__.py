"""The config repositories of all agents. Git reads a proposer's objects, never a proposer's repository."""
