"""The config a new agent starts with shows all that there is."""

import re

from hyperhive.domain.agent_config import DEFAULT, AgentConfig, parse


def test_the_first_config_means_the_defaults() -> None:
    assert parse(DEFAULT) == AgentConfig()


def test_with_its_examples_it_names_every_key() -> None:
    shown = re.sub(r"^# (?=\w+ = |\[)", "", DEFAULT, flags=re.MULTILINE)
    config = parse(shown)
    assert config.model_fields_set == set(AgentConfig.model_fields)
    for part in (config.bash, config.limits, config.notes, config.extraMcpServers["weather"]):
        assert part.model_fields_set == set(type(part).model_fields)
