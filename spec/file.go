package spec

import "strings"

// File is one app of a parsed inhaul.yaml. It holds no mistake that can be seen
// without knowing the environment.
type File struct {
	Path         string // what Parse was given as the file's name
	App          string
	Build        Build    // defaults filled in
	Paths        []string // patterns, see Affected; empty: every change counts
	Env          map[string]string
	Secrets      map[string]string
	Predeploy    *TaskSettings
	AutoRollback *bool // nil: true
	Services     map[string]Declaration
	Databases    map[string]Database    // by name, which the values do not repeat; of previews
	Seed         *TaskSettings          // of previews
	Teardown     *TaskSettings          // of previews
	Environments map[string]Environment // empty: branch main is production

	lines map[string]int // path of a key to its line, see Lines
}

// Environment is an environment as inhaul.yaml declares it.
type Environment struct {
	Branches     []string // names or patterns; "*" stands for any run of characters but "/"
	Env          map[string]string
	Secrets      map[string]string
	Predeploy    *TaskSettings
	AutoRollback *bool               // nil: as the file says
	Services     map[string]Override // by the name of a declared service
}

// fileLevel is what an app says, whether it has the file to itself or shares it.
func fileLevel() level[File] {
	return level[File]{"app", "What an app says: at the top of the file, or below its name in `apps`.", []key[File]{
		part("build", buildLevel(), func(f *File) *Build { return &f.Build }).
			says("How the image is made.", "", "build: {dockerfile: docker/Dockerfile}"),
		to("paths", list(pattern(), "list of patterns"), func(f *File) *[]string { return &f.Paths }).
			says("In a repository with several apps: deploy only when a changed file matches. Patterns are those of .gitignore, from the root of the repository: `**` is any depth, `!` takes back, the last match wins; a list that starts with `!` takes back from everything. A change of this file always counts. Only what the push itself changes is looked at: do not cancel runs of one branch (`cancel-in-progress`), and run a workflow again whose build failed.", "every change", "paths: [\"services/shop/**\", \"!**/*.md\"]"),
		to("env", variables(), func(f *File) *map[string]string { return &f.Env }).
			says("Environment variables of all services. A value that looks like a secret is refused.", "", "env: {LOG_LEVEL: info}"),
		to("secrets", secrets(), func(f *File) *map[string]string { return &f.Secrets }).
			says("Environment variables of all services by references to where their values are kept: `k8s://NAME#KEY`, `generate://BYTES`, `aws-sm://NAME#KEY` or `aws-ssm:///PATH`. A literal value is refused.", "", `secrets: {DATABASE_URL: "k8s://shop#DATABASE_URL"}`),
		to("predeploy", task(predeployLevel(), false), func(f *File) **TaskSettings { return &f.Predeploy }).
			says("Command that runs once per release, before its first pod; if it fails, nothing changes.", "", "predeploy: bin/rails db:migrate"),
		to("autoRollback", boolean(), func(f *File) **bool { return &f.AutoRollback }).
			says("Whether the last good release is put back when one fails. With false the failed one is left to be looked at: its new pods stay, and old ones serve as far as they were not replaced yet.", "true", "autoRollback: false"),
		each("services", "service", declarationLevel(), func(f *File) *map[string]Declaration { return &f.Services }).needed().
			says("The processes of the app, by name.", "", "services: {web: {type: web}}"),
		each("databases", "database", databaseLevel(), func(f *File) *map[string]Database { return &f.Databases }).
			says("Throwaway databases of a preview, by name.", "", "databases: {main: {type: postgres}}"),
		to("seed", task(taskLevel(), false), func(f *File) **TaskSettings { return &f.Seed }).
			says("Command that runs once in a new preview.", "", "seed: bin/rails db:seed"),
		to("teardown", task(taskLevel(), false), func(f *File) **TaskSettings { return &f.Teardown }).
			says("Command that runs before a preview goes away; it never keeps it from going.", "", "teardown: bin/cleanup"),
		each("environments", "environment", environmentLevel(), func(f *File) *map[string]Environment { return &f.Environments }).
			says("Where the app runs, by name. `preview` is what every preview of a pull request says differently.", "production, from branch main", "environments: {staging: {branch: develop}}"),
	}}
}

func environmentLevel() level[Environment] {
	return level[Environment]{"environment", "An environment, and what it says differently.", []key[Environment]{
		to("branch", branches(), func(e *Environment) *[]string { return &e.Branches }).
			says("Branch that deploys to it, a pattern (`*` is any run of characters but `/`), or a list of these.", "none", "branch: [main, \"release/*\"]"),
		to("env", variables(), func(e *Environment) *map[string]string { return &e.Env }).
			says("Environment variables of all services, here.", "", "env: {LOG_LEVEL: warn}"),
		to("secrets", secrets(), func(e *Environment) *map[string]string { return &e.Secrets }).
			says("Environment variables by references, of all services, here.", "", `secrets: {DATABASE_URL: "k8s://staging#DATABASE_URL"}`),
		to("predeploy", task(predeployLevel(), true), func(e *Environment) **TaskSettings { return &e.Predeploy }).
			says("What is different about `predeploy` here; false switches it off.", "", "predeploy: false"),
		to("autoRollback", boolean(), func(e *Environment) **bool { return &e.AutoRollback }).
			says("Whether the last good release is put back here when one fails.", "as the app says", "autoRollback: false"),
		each("services", "service", overrideLevel(), func(e *Environment) *map[string]Override { return &e.Services }).
			says("What is different about the services here.", "", "services: {web: {replicas: 4}}"),
	}}
}

// What a file without environments means.
const (
	defaultEnvironment = "production"
	defaultBranch      = "main"
)

const branchRef = "refs/heads/"

// EnvironmentNames returns the environments of the file, sorted; without any
// declared that is the one that branch main deploys to.
func (f *File) EnvironmentNames() []string { return sortedKeys(f.environments()) }

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
	for _, candidate := range sortedKeys(environments) {
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
// means. What previews say differently declares no place yet, unless a branch
// deploys to it.
func (f *File) environments() map[string]Environment {
	preview, says := f.Environments[previewEnvironment]
	if len(f.Environments) > 1 || len(f.Environments) == 1 && (!says || len(preview.Branches) > 0) {
		return f.Environments
	}
	all := map[string]Environment{defaultEnvironment: {Branches: []string{defaultBranch}}}
	if says {
		all[previewEnvironment] = preview
	}
	return all
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
