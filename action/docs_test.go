package action

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// face of action.yml, in the order of the file.
type described struct{ name, text, fallback string }

// described returns the entries of a section of action.yml.
func describedIn(t *testing.T, section string) []described {
	t.Helper()
	data, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]yaml.Node
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	node := file[section]
	var all []described
	for i := 0; i+1 < len(node.Content); i += 2 {
		var said struct{ Description, Default string }
		if err := node.Content[i+1].Decode(&said); err != nil {
			t.Fatal(err)
		}
		all = append(all, described{node.Content[i].Value, said.Description, said.Default})
	}
	return all
}

// TestTheDocumentationSaysWhatActionYAMLSays makes the tables of docs/action.md:
// -update writes them. The rest of the file is written by hand.
func TestTheDocumentationSaysWhatActionYAMLSays(t *testing.T) {
	t.Parallel()
	const file = "../docs/action.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inputs := "| input | what it says | default |\n|---|---|---|\n"
	for _, in := range describedIn(t, "inputs") {
		fallback := ""
		if in.fallback != "" {
			fallback = "`" + in.fallback + "`"
		}
		inputs += fmt.Sprintf("| `%s` | %s | %s |\n", in.name, tableText(in.text), fallback)
	}
	outputs := "| output | what it is |\n|---|---|\n"
	for _, out := range describedIn(t, "outputs") {
		outputs += fmt.Sprintf("| `%s` | %s |\n", out.name, tableText(out.text))
	}
	text := string(data)
	for section, table := range map[string]string{"inputs": inputs, "outputs": outputs} {
		begin := regexp.MustCompile(`(?s)(<!-- begin ` + section + `: [^\n]* -->\n).*?(<!-- end ` + section + ` -->)`)
		if !begin.MatchString(text) {
			t.Fatalf("%s: the marks of %s are gone", file, section)
		}
		text = begin.ReplaceAllStringFunc(text, func(found string) string {
			m := begin.FindStringSubmatch(found)
			return m[1] + table + m[2]
		})
	}
	golden(t, file, text)
}

func tableText(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func TestTheDocumentationNamesEveryEvent(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/action.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Events\n")
	section, _, _ = strings.Cut(section, "\n###")
	for _, event := range slices.Concat(events(), []string{"pull_request_target", "workflow_run", "merge_group"}) {
		if !strings.Contains(section, "`"+event+"`") {
			t.Errorf("docs/action.md does not say what %s does", event)
		}
	}
	for _, word := range []string{noPreview, modeBuild, modeSign, "opened", "reopened", "synchronize", "closed", "labeled", "unlabeled"} {
		if !strings.Contains(string(data), word) {
			t.Errorf("docs/action.md does not know %s", word)
		}
	}
}

// TestTheDocumentationsWorkflowsAreRight reads every workflow of the documentation:
// it is YAML, and what it gives this Action are inputs.
func TestTheDocumentationsWorkflowsAreRight(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/action.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, in := range declaredInputs() {
		known[in.name] = true
	}
	steps := 0
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if uses, _ := node["uses"].(string); strings.HasPrefix(uses, "inhaul/inhaul@") {
				steps++
				with, _ := node["with"].(map[string]any)
				for name := range with {
					if !known[name] {
						t.Errorf("docs/action.md gives the Action %q, which is no input", name)
					}
				}
			}
			for _, below := range node {
				walk(below)
			}
		case []any:
			for _, below := range node {
				walk(below)
			}
		}
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		var document any
		if err := yaml.Unmarshal([]byte(block[1]), &document); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
		walk(document)
	}
	if steps < 4 {
		t.Errorf("got %d steps of this Action in the documentation, want at least 4", steps)
	}
}
