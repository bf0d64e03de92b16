package spec

import (
	"regexp"
)

// The kinds of database of a preview.
const (
	databasePostgres = "postgres"
	databaseRedis    = "redis"
)

var versionShape = regexp.MustCompile(versionPattern)

const versionPattern = `^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$`

func databaseLevel() level[Database] {
	return level[Database]{"database", "A throwaway database of a preview. Other environments have none: their variables are `secrets`.", []key[Database]{
		to("type", oneOf(databasePostgres, databaseRedis), func(d *Database) *string { return &d.Type }).needed().
			says("What it is.", "", "type: postgres"),
		to("version", version(), func(d *Database) *string { return &d.Version }).
			says("Its version.", "a recent one", "type: postgres\nversion: \"17\""),
		to("env", variable(), func(d *Database) *string { return &d.Env }).
			says("Variable that gets its URL. In a preview it takes the place of any other value of it.", "DATABASE_URL or REDIS_URL", "type: redis\nenv: CACHE_URL"),
	}}
}

func version() value[string] {
	return value[string]{
		shape: shape{words: "version", schema: func(*schema) object {
			return object{"anyOf": []object{{"type": "string", "pattern": versionPattern}, {"type": "number", "minimum": 0}}}
		}},
		parse: func(p *parser, e entry) string {
			n, ok := p.scalar(e, "a version")
			if !ok {
				return ""
			}
			if !versionShape.MatchString(n.Value) {
				p.fail(e.value, "%s: want a version such as \"17\" or \"17.2\", got %s", e.key.Value, quoted(n.Value))
			}
			return n.Value
		},
	}
}

// variable is the variable that gets the database's URL.
func (d Database) variable() string {
	switch {
	case d.Env != "":
		return d.Env
	case d.Type == databaseRedis:
		return "REDIS_URL"
	}
	return "DATABASE_URL"
}

// checkDatabases records two databases for one variable.
func (p *parser) checkDatabases(at string, f *File) {
	first := make(map[string]string)
	for _, name := range p.inOrder(below(at, "databases"), sortedKeys(f.Databases)) {
		variable := f.Databases[name].variable()
		if other, taken := first[variable]; taken {
			p.failMark(below(at, "databases", name), "database %q: %s is the variable of database %q already: say another env", name, variable, other)
			continue
		}
		first[variable] = name
		if variable == "PORT" {
			p.failMark(below(at, "databases", name, "env"), "env: PORT is the port of the web service, want another variable")
		}
	}
}

// databases returns the databases of a preview by name, and their variables.
func (f *File) databases() (all []Database, variables []string) {
	for _, name := range sortedKeys(f.Databases) {
		d := f.Databases[name]
		d.Name, d.Env = name, d.variable()
		all, variables = append(all, d), append(variables, d.Env)
	}
	return all, variables
}
