package spec

import (
	"fmt"
	"path"
	"strings"
)

// pattern is a value of one of the patterns of Affected.
func pattern() value[string] {
	return textIn("pattern", `^!?[^!]`, func(text string) (string, error) {
		bare := strings.TrimPrefix(text, "!")
		switch {
		case strings.Trim(bare, "/") == "" || strings.HasPrefix(bare, "!") || strings.ContainsAny(text, "\\\r\n"):
			return "", fmt.Errorf("want a pattern such as services/shop/**, got %s", quoted(text))
		case strings.HasPrefix(bare, "./") || strings.Contains("/"+bare+"/", "/../") || strings.Contains(bare, "//"):
			return "", fmt.Errorf("want a pattern from the root of the repository such as services/shop/**, got %s", quoted(text))
		}
		return text, nil
	})
}

// Affected reports whether a change of these files, named from the root of the
// repository, concerns the app. Without patterns every change does, and one of
// inhaul.yaml itself, by File.Path, always does.
//
// The patterns are those of .gitignore: one without a slash inside matches at
// any depth, one with a slash from the root; "*" is any run of characters but
// "/", "**" any number of folders; what matches a folder matches all in it. "!"
// takes back; the last pattern that matches a file decides. A list that starts
// with "!" takes back from everything.
func (f *File) Affected(changed []string) bool {
	if len(f.Paths) == 0 {
		return true
	}
	for _, file := range changed {
		file = path.Clean(file)
		if file == path.Clean(f.Path) || f.concerned(file) {
			return true
		}
	}
	return false
}

// concerned reports whether the patterns mean file.
func (f *File) concerned(file string) bool {
	yes := strings.HasPrefix(f.Paths[0], "!")
	for _, text := range f.Paths {
		bare, takesBack := strings.CutPrefix(text, "!")
		if matchesPath(bare, file) {
			yes = !takesBack
		}
	}
	return yes
}

// matchesPath reports whether pattern means file or a folder that it is in.
func matchesPath(pattern, file string) bool {
	folder := strings.HasSuffix(pattern, "/")
	parts := strings.Split(strings.TrimPrefix(strings.TrimSuffix(pattern, "/"), "/"), "/")
	if len(parts) == 1 && !strings.HasPrefix(pattern, "/") {
		parts = append([]string{"**"}, parts...)
	}
	names := strings.Split(file, "/")
	// reached[i] says that the parts so far match the first i names.
	reached := make([]bool, len(names)+1)
	reached[0] = true
	for _, part := range parts {
		next := make([]bool, len(names)+1)
		for i := range reached {
			switch {
			case part == "**":
				next[i] = reached[i] || i > 0 && next[i-1]
			case i > 0 && reached[i-1]:
				next[i] = matches(part, names[i-1])
			}
		}
		reached = next
	}
	// A folder that holds the file, or the file itself.
	for i := 1; i <= len(names); i++ {
		if reached[i] && (i < len(names) || !folder) {
			return true
		}
	}
	return false
}
