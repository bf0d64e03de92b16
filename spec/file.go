package spec

import (
	"maps"
	"slices"
	"strings"
)

// File is a parsed inhaul.yaml. It holds no mistake that can be seen without
// knowing the environment.
type File struct {
	App          string
	Build        Build // defaults filled in
	Env          map[string]string
	Services     map[string]Declaration
	Environments map[string]Environment // empty: branch main is production
}

// Declaration is a service as inhaul.yaml declares it, before an environment
// overrides any of it.
type Declaration struct {
	Type ServiceType
	Settings
}

// Settings is what a service says, and what an environment may say differently.
// Nil and empty mean: not said.
type Settings struct {
	Run      *Command
	Port     *int
	Replicas *int
	CPU      string
	Memory   string
	Health   Health
	Env      map[string]string
}

// Environment is an environment as inhaul.yaml declares it.
type Environment struct {
	Branches []string // names or patterns; "*" stands for any run of characters but "/"
	Env      map[string]string
	Services map[string]Settings // by the name of a declared service
}

// What a file without environments means.
const (
	defaultEnvironment = "production"
	defaultBranch      = "main"
)

const branchRef = "refs/heads/"

// Environment returns the environment that a push to ref deploys to; ok is
// false if there is none, as for every tag. A branch named in full beats a
// pattern, and of two patterns the one with more literal characters wins.
func (f *File) Environment(ref string) (name string, ok bool) {
	branch, ok := strings.CutPrefix(ref, branchRef)
	if !ok || branch == "" {
		return "", false
	}
	best := -1
	environments := f.environments()
	for _, candidate := range slices.Sorted(maps.Keys(environments)) {
		for _, pattern := range environments[candidate].Branches {
			if pattern == branch {
				return candidate, true
			}
			literal := len(strings.ReplaceAll(pattern, "*", ""))
			if literal > best && matches(pattern, branch) {
				name, best = candidate, literal
			}
		}
	}
	return name, best >= 0
}

// environments returns the declared environments, or what a file without any
// means.
func (f *File) environments() map[string]Environment {
	if len(f.Environments) > 0 {
		return f.Environments
	}
	return map[string]Environment{defaultEnvironment: {Branches: []string{defaultBranch}}}
}

// matches reports whether pattern describes all of branch. It walks back at
// most to the last star, so its time is bounded by the product of the lengths.
func matches(pattern, branch string) bool {
	p, b, star, mark := 0, 0, -1, 0
	for b < len(branch) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, b
			p++
		case p < len(pattern) && pattern[p] == branch[b]:
			p++
			b++
		case star >= 0 && branch[mark] != '/':
			mark++
			p, b = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
