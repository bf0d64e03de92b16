package cli

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// writtenMark begins every inhaul.yaml that init wrote.
const writtenMark = "# yaml-language-server: $schema=https://raw.githubusercontent.com/inhaul/inhaul/main/docs/inhaul.schema.json\n# What the app is and where it runs."

// text is what a file says.
func (s setup) text(name string) ([]byte, error) {
	base := path.Base(name) + ".tmpl"
	s.Pulls = base == "preview.yml.tmpl"
	parsed, err := template.New(base).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"list": list, "names": names, "words": words, "refs": refs, "branch": branch, "workflows": workflowRefs,
		"previewWorkflow": func(repository string) string {
			return list([]string{repository + "/" + workflows + "/preview.yml@refs/pull/*/merge"})
		},
	}).ParseFS(templates, "templates/steps.tmpl", "templates/"+base)
	if err != nil {
		return nil, fmt.Errorf("reading the template of %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, s); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// list is a YAML list in one line.
func list(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = scalar(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// scalar is text as YAML has it: quoted unless it is a plain word.
func scalar(text string) string {
	if word(text) && !strings.HasSuffix(text, ":") {
		if _, err := strconv.ParseFloat(text, 64); err != nil && !strings.Contains(" true false null yes no on off ", " "+strings.ToLower(text)+" ") {
			return text
		}
	}
	return strconv.Quote(text)
}

// names are several in one value, as the Action takes them.
func names(items []string) string { return strings.Join(items, ",") }

// words are several in a sentence.
func words(items []string) string { return strings.Join(items, " and ") }

// branch is what inhaul.yaml says below branch.
func branch(branches []string) string {
	if len(branches) == 1 {
		return scalar(branches[0])
	}
	return list(branches)
}

// refs are branches as policy has them.
func refs(branches []string) string {
	full := make([]string, len(branches))
	for i, b := range branches {
		full[i] = "refs/heads/" + b
	}
	return list(full)
}

// workflowRefs are those of a workflow on branches, as policy has them.
func workflowRefs(repository, file string, branches []string) string {
	full := make([]string, len(branches))
	for i, b := range branches {
		full[i] = repository + "/" + workflows + "/" + file + "@refs/heads/" + b
	}
	return list(full)
}
