package spec

// object is a JSON Schema, or a part of one.
type object map[string]any

// schema collects the definitions of a JSON Schema.
type schema struct{ definitions object }

// schemaURL is where the schema is published.
const schemaURL = "https://raw.githubusercontent.com/inhaul/inhaul/main/docs/inhaul.schema.json"

// ref returns a reference to the definition of s, which it makes.
func (d *schema) ref(s section) object {
	if _, made := d.definitions[s.name]; !made {
		d.definitions[s.name] = nil // levels do not nest in themselves, and if they did this would end it
		d.definitions[s.name] = d.level(s)
	}
	return object{"$ref": "#/$defs/" + s.name}
}

// level returns the schema of a mapping with the keys of s.
func (d *schema) level(s section) object {
	properties := object{}
	required := []string{}
	for _, r := range s.rows {
		properties[r.name] = d.described(r)
		if r.required {
			required = append(required, r.name)
		}
	}
	o := object{"type": "object", "additionalProperties": false, "properties": properties}
	if s.doc != "" {
		o["description"] = s.doc
	}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// described returns the schema of a key's value with what is told of it.
func (d *schema) described(r row) object {
	o := r.schema(d)
	o["description"] = r.doc
	if r.fallback != "" {
		o["description"] = r.doc + " Default: " + r.fallback + "."
	}
	return o
}

// jsonSchema returns the schema of inhaul.yaml, draft 2020-12.
func jsonSchema() object {
	d := &schema{definitions: object{}}
	app := fileLevel().section()
	d.ref(app)
	root, apps := rootLevel().section(), appsKey().row
	properties := object{apps.name: d.described(apps)}
	for _, r := range root.rows {
		properties[r.name] = d.described(r)
	}
	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemaURL,
		"title": "inhaul.yaml", "description": "What an app is, and where it runs.",
		"type": "object", "additionalProperties": false, "properties": properties, "$defs": d.definitions,
		"oneOf": []object{
			{"required": []string{"app", "services"}},
			{"required": []string{apps.name}, "maxProperties": 1},
		},
	}
}
