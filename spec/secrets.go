package spec

// secrets is a value of environment variables by references to where their
// values are kept.
func secrets() value[map[string]string] {
	return value[map[string]string]{
		shape: shape{words: "names and references", schema: func(*schema) object {
			return variablesSchema(object{"type": "string", "pattern": `^(k8s|generate|aws-sm|aws-ssm)://`})
		}},
		parse: func(p *parser, e entry) map[string]string {
			return p.variables(e, func(one entry) (string, bool) {
				text := p.text(one)
				if text == "" {
					return "", false
				}
				if _, found := p.looksLikeCredential(text); found {
					p.refuseCredential(one, text)
					return "", false
				}
				if _, err := ParseReference(text); err != nil {
					p.fail(one.value, "%s: %v", one.key.Value, err)
					return "", false
				}
				return text, true
			})
		},
	}
}

// checkSecrets records the variables that one level has in both ways, at the
// second of the two.
func (p *parser) checkSecrets(at string, env, secrets map[string]string) {
	for name := range secrets {
		if _, twice := env[name]; !twice {
			continue
		}
		path, other := below(at, "secrets", name), "env"
		if inEnv := below(at, "env", name); compare(p.marks[path], p.marks[inEnv]) < 0 {
			path, other = inEnv, "secrets"
		}
		p.failMark(path, "%s: is in %s too, and can only have one value", name, other)
	}
}

// variablesOf are the variables of a service or task: those with a value, and
// those with a reference.
type variablesOf struct{ env, secrets map[string]string }

// with returns v with those of a more special level, which win whichever kind
// they are of.
func (v variablesOf) with(env, secrets map[string]string) variablesOf {
	all := variablesOf{merged(v.env, env), merged(v.secrets, secrets)}
	for name := range env {
		delete(all.secrets, name)
	}
	for name := range secrets {
		delete(all.env, name)
	}
	return all
}

// without returns v without these variables.
func (v variablesOf) lacking(names []string) variablesOf {
	all := variablesOf{merged(v.env), merged(v.secrets)}
	for _, name := range names {
		delete(all.env, name)
		delete(all.secrets, name)
	}
	return all
}
