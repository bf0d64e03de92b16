package spec

import (
	"cmp"
	"slices"
	"strings"
)

// MaxLines is how many settings Lines tells the places of at most.
const MaxLines = 200

// Lines returns where in the file the app's settings are said that a deploy may
// fail by: path in the words of inhaul.yaml ("services.web.port") to line, from 1.
// A setting that environment says differently is where it does so. Of more than
// MaxLines the deepest ones are left out, whose parents are there. A file that was
// not parsed has none.
func (f *File) Lines(environment string) map[string]int {
	if previewName.MatchString(environment) {
		environment = previewEnvironment
	}
	lines := make(map[string]int)
	special := below("environments", environment) + "/"
	for _, path := range sortedKeys(f.lines) {
		if telling(path) {
			lines[strings.ReplaceAll(path, "/", ".")] = f.lines[path]
		}
	}
	for _, path := range sortedKeys(f.lines) {
		if inner, is := strings.CutPrefix(path, special); is && telling(inner) {
			lines[strings.ReplaceAll(inner, "/", ".")] = f.lines[path]
		}
	}
	paths := sortedKeys(lines)
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")) })
	for _, path := range paths[min(len(paths), MaxLines):] {
		delete(lines, path)
	}
	return lines
}

// telling reports whether a deploy may fail by the setting at path.
func telling(path string) bool {
	parts := strings.Split(path, "/")
	switch parts[0] {
	case "services":
		return len(parts) <= 2 || slices.Contains([]string{"run", "port", "replicas", "cpu", "memory", "size", "health", "scale", "secrets"}, parts[2])
	case "predeploy", "secrets":
		return true
	case "build":
		return len(parts) == 1
	}
	return false
}

// linesBelow returns the lines of what is said below a path, by the rest of it.
func (p *parser) linesBelow(at string) map[string]int {
	lines := make(map[string]int, len(p.marks))
	for path, key := range p.marks {
		if at != "" {
			inner, is := strings.CutPrefix(path, at+"/")
			if !is {
				continue
			}
			path = inner
		}
		lines[path] = key.Line
	}
	return lines
}
