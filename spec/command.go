package spec

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// command is a value of a string for the shell or a list to run as it stands.
func command() value[*Command] {
	return value[*Command]{
		shape: shape{words: "text for a shell, or a list that is run as it stands", schema: func(*schema) object { return commandSchema() }},
		parse: (*parser).command,
	}
}

func commandSchema() object {
	text := object{"type": "string", "minLength": 1, "maxLength": maxTextBytes}
	return object{"anyOf": []object{text, {"type": "array", "items": text, "minItems": 1, "maxItems": maxListItems}}}
}

func (p *parser) command(e entry) *Command {
	var c Command
	if n := p.follow(e.value); n.Kind == yaml.SequenceNode {
		for _, item := range p.items(e, n, 1) {
			c.Exec = append(c.Exec, p.text(item))
		}
	} else {
		c.Shell = p.text(e)
	}
	for _, part := range append(slices.Clone(c.Exec), c.Shell) {
		p.refuseCredential(e, part)
	}
	return &c
}

func (c Command) clone() Command {
	return Command{Shell: c.Shell, Exec: slices.Clone(c.Exec)}
}
