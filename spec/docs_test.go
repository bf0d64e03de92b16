package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestDocumentationIsFresh makes docs/ from the key tables: -update writes it.
func TestDocumentationIsFresh(t *testing.T) {
	t.Parallel()
	text, err := json.MarshalIndent(jsonSchema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/inhaul.schema.json", string(text)+"\n")
	everything, err := os.ReadFile("testdata/everything-an-app-can-say/inhaul.yaml")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/inhaul-yaml.md", markdown(string(everything)))
}

// position is where a section stands in a file, and in the documentation.
type position struct{ path, title string }

func positions() map[string]position {
	return map[string]position{
		"app":         {"", "An app"},
		"build":       {"build", "`build`"},
		"predeploy":   {"predeploy", "`predeploy`"},
		"task":        {"seed", "`seed` and `teardown`"},
		"service":     {"services.NAME", "`services.NAME`"},
		"health":      {"services.NAME.health", "`services.NAME.health`"},
		"check":       {"services.NAME.health.liveness", "`services.NAME.health.liveness`"},
		"scale":       {"services.NAME.scale", "`services.NAME.scale`"},
		"queue":       {"services.NAME.scale.queue", "`services.NAME.scale.queue`"},
		"volume":      {"services.NAME.volumes.NAME", "`services.NAME.volumes.NAME`"},
		"database":    {"databases.NAME", "`databases.NAME`"},
		"environment": {"environments.NAME", "`environments.NAME`"},
		"override":    {"environments.NAME.services.NAME", "`environments.NAME.services.NAME`"},
	}
}

// sections returns every level below s once, in the order of the tables.
func sections(s section, found []section) []section {
	if slices.ContainsFunc(found, func(f section) bool { return f.name == s.name }) {
		return found
	}
	found = append(found, s)
	for _, r := range s.rows {
		for _, below := range r.levels {
			found = sections(below, found)
		}
	}
	return found
}

func markdown(everything string) string {
	var b strings.Builder
	b.WriteString(`<!-- Made from the key tables of package spec by ` + "`go test ./spec -update`" + `; change those. -->
# inhaul.yaml

One file says what an app is and where it runs. It stands at the root of the repository, or in the folder of each app.
An unknown key is an error, with its line and what was probably meant. With this head line an editor knows the keys too:

` + "```yaml\n# yaml-language-server: $schema=" + schemaURL + "\napp: shop\nservices:\n  web:\n    type: web\n```" + `

Of two values for one setting the more special counts: what the file says for all services, then what the service says,
then the environment, then the environment of that service. An environment variable stands in ` + "`env` or in `secrets`" + `, and the more
special one counts whichever of the two it is in. Quantities have units (` + "`250m`, `512Mi`), and so have durations (`90s`, `2m`, `1h30m`" + `).

A pull request's preview is the environment ` + "`pr-N`" + `. It is what the file says outside ` + "`environments`, and in `environments.preview`" + ` if there
is that. Previews alone have ` + "`databases`, `seed` and `teardown`" + `.

## Everything at once

` + "```yaml\n" + everything + "```\n")
	app := sections(fileLevel().section(), nil)
	own := slices.DeleteFunc(rootLevel().section().rows, func(r row) bool { return r.name != "app" })
	app[0].rows = slices.Concat(own, []row{appsKey().row}, app[0].rows)
	documented := map[string]bool{}
	for _, s := range app {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | what it says | value | default | example |\n|---|---|---|---|---|\n", positions()[s.name].title, s.doc)
		for _, r := range s.rows {
			if s.name == "override" && documented[r.name] {
				continue
			}
			documented[r.name] = documented[r.name] || s.name == "service"
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", "`"+r.name+"`", told(r), words(r), fallback(r), example(r.example))
		}
	}
	b.WriteString("\n## Dyno sizes\n\n| `size` | `cpu` | `memory` |\n|---|---|---|\n")
	for _, name := range sortedKeys(sizes()) {
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` |\n", name, sizes()[name].cpu, sizes()[name].memory)
	}
	return b.String()
}

func told(r row) string {
	text := cell(r.doc)
	if len(r.types) > 0 {
		text = "*" + typeNames(r.types) + ":* " + text
	}
	if r.required {
		text += " **Required.**"
	}
	return text
}

// words says what a key's value may be, with a link to its own keys.
func words(r row) string {
	text := cell(r.words)
	if len(r.levels) == 0 {
		return text
	}
	title := strings.ToLower(positions()[r.levels[0].name].title)
	anchor := strings.ReplaceAll(strings.NewReplacer("`", "", ".", "").Replace(title), " ", "-")
	return strings.Replace(text, "keys", "[keys](#"+anchor+")", 1)
}

// fallback returns the default of a key, as code unless it is words.
func fallback(r row) string {
	switch {
	case r.fallback == "":
		return ""
	case strings.Contains(r.fallback, " ") || r.fallback == "none" || r.fallback == "never":
		return cell(r.fallback)
	}
	return "`" + cell(r.fallback) + "`"
}

func example(text string) string {
	lines := strings.Split(cell(text), "\n")
	return "`" + strings.Join(lines, "`<br>`") + "`"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// TestEveryKeyIsDocumented is about what the tables have to say of a key.
func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range append(sections(fileLevel().section(), nil), rootLevel().section()) {
		if _, placed := positions()[s.name]; !placed && s.name != "file" {
			t.Errorf("section %s has no place in the documentation", s.name)
		}
		if s.doc == "" && s.name != "file" {
			t.Errorf("section %s is not described", s.name)
		}
		for _, r := range s.rows {
			if r.doc == "" || r.words == "" || r.schema == nil {
				t.Errorf("%s.%s: want what it says and its value, got %q and %q", s.name, r.name, r.doc, r.words)
			}
			if !strings.HasSuffix(r.doc, ".") {
				t.Errorf("%s.%s: want a sentence, got %q", s.name, r.name, r.doc)
			}
			if !strings.Contains("\n"+r.example, "\n"+r.name+":") {
				t.Errorf("%s.%s: want an example of the key, got %q", s.name, r.name, r.example)
			}
		}
	}
}

// TestExamplesAreRight puts every example of the documentation where it belongs
// in a file: the schema and the parser take that.
func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for _, s := range append(sections(fileLevel().section(), nil), rootLevel().section()) {
		for _, r := range s.rows {
			t.Run(s.name+" "+r.name, func(t *testing.T) {
				t.Parallel()
				text := inFile(t, s.name, r.example)
				if _, err := ParseAll("inhaul.yaml", text); err != nil {
					t.Errorf("got %v, want none, in\n%s", err, text)
				}
				if err := schema.Validate(decoded(t, text)); err != nil {
					t.Errorf("by the schema got %v, want none, in\n%s", err, text)
				}
			})
		}
	}
}

// inFile returns a file with the example at a place of the section.
func inFile(t *testing.T, section, example string) []byte {
	t.Helper()
	file := map[string]any{"app": "shop", "services": map[string]any{"web": map[string]any{"type": "web"}}}
	read := func(text string) map[string]any {
		var m map[string]any
		if err := yaml.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	said := read(example)
	if _, several := said["apps"]; several {
		file = map[string]any{}
	}
	at := file
	for name := range strings.SplitSeq(strings.ReplaceAll(positions()[section].path, "NAME", "web"), ".") {
		if name == "" {
			continue
		}
		if at[name] == nil {
			at[name] = map[string]any{}
		}
		at = at[name].(map[string]any)
	}
	around := map[string]string{
		"scale": "type: worker\nenv: {REDIS_URL: redis, AMQP_URL: amqp}", "queue": "type: worker\nenv: {REDIS_URL: redis, AMQP_URL: amqp}",
	}
	maps.Copy(file["services"].(map[string]any)["web"].(map[string]any), read(around[section]))
	if section == "queue" {
		file["services"].(map[string]any)["web"].(map[string]any)["scale"].(map[string]any)["max"] = 3
	}
	switch {
	case section == "override" && strings.HasPrefix(example, "type: job\n"):
		delete(said, "type")
		file["services"].(map[string]any)["web"].(map[string]any)["type"] = "job"
	case section == "override" && said["enabled"] == false:
		file["services"].(map[string]any)["other"] = map[string]any{"type": "worker"}
	}
	maps.Copy(at, said)
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(jsonSchema())
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaURL, document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(schemaURL)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// decoded returns a YAML document as an editor hands it to a schema.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var document any
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSchema(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	files, err := filepath.Glob("testdata/*/inhaul.yaml")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("../examples/*/inhaul.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatalf("got %d examples, %v", len(examples), err)
	}
	for _, file := range append(files, examples...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, parsing := ParseAll(file, text)
		if err := schema.Validate(decoded(t, text)); (err == nil) != (parsing == nil) {
			t.Errorf("%s: by the schema got %v, by the parser %v", file, err, parsing)
		}
	}
}

// TestSchemaRefuses is about the mistakes that an editor shows while they are
// made; those that need several values are left to the parser.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	const web = "app: shop\nservices:\n  web:\n    type: web\n"
	const job = "app: shop\nservices:\n  nightly:\n    type: job\n"
	for _, text := range []string{
		"app: shop\n", "app: Shop\nservices: {web: {type: web}}\n", "services: {web: {type: web}}\n", "app: shop\nservices: {}\n",
		"app: a\napps: {a: {services: {web: {type: web}}}}\n", "apps: {a: {app: a, services: {web: {type: web}}}}\n",
		web + "    replica: 3\n", web + "    type_: web\n", web + "    port: \"80\"\n", web + "    port: 70000\n", web + "    cpu: lots\n",
		web + "    memory: 512MB\n", web + "    size: huge\n", web + "    env: {A-B: c}\n", web + "    env: {A: {b: c}}\n",
		web + "    secrets: {A: hunter2}\n", web + "    health: {path: healthz}\n", web + "    health: {tcp: false}\n",
		web + "    scale: {max: many}\n", web + "    scale: false\n", web + "    scale: {max: 3, queue: {type: kafka}}\n",
		web + "    grace: 30\n", web + "    domains: [https://a.example.com]\n", web + "    domains: a.example.com\n", web + "    volumes: {}\n",
		job + "    schedule: 0 3 * *\n", job + "    schedule: \"@every 5m\"\n", job + "    overlap: never\n", job + "    retries: -1\n",
		web + "predeploy: false\n", web + "predeploy: {memory: 512MB}\n", web + "databases: {a: {type: mysql}}\n", web + "databases: {a: {}}\n",
		web + "environments: {a: {services: {web: {type: web}}}}\n", web + "environments: {a: {branch: []}}\n", web + "build: {method: pack}\n",
	} {
		if _, err := ParseAll("inhaul.yaml", []byte(text)); err == nil {
			t.Errorf("the parser takes what it has to refuse:\n%s", text)
		}
		if schema.Validate(decoded(t, []byte(text))) == nil {
			t.Errorf("the schema takes what it has to refuse:\n%s", text)
		}
	}
}
