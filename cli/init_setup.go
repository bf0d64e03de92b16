package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
	"github.com/inhaul/inhaul/spec/convert"
)

// setup is all that the written files say.
type setup struct {
	Apps         []string // sorted
	Environments []deployed
	Branches     []string // that are deployed anywhere

	Repository            string // owner/name
	RepositoryID, OwnerID int64  // 0: not known
	Issuer                string
	Namespace             string // of the agent

	Image    string // repository of images
	Registry registry
	Split    bool
	Paths    bool // some app is deployed for some changes alone
	HasApp   bool // the agent writes to GitHub itself
	Pulls    bool // the text is about pull requests
	Draft    draft

	described string   // what says already what the app is; empty: nothing does
	hello     bool     // write a tiny app
	lacks     []string // what the repository needs besides
	github    gitHubPlace
}

// deployed is an environment, with the branches that are deployed to it.
type deployed struct {
	Name       string
	Branches   []string
	Production bool
}

// files are what init writes, in this order.
func (s setup) files() []string {
	files := []string{workflows + "/deploy.yml", workflows + "/preview.yml", workflows + "/rollback.yml", appFile}
	if s.described == "" || s.described == defaultFile {
		files = append([]string{defaultFile}, files...)
	}
	if s.hello {
		files = append([]string{dockerfile, "index.html"}, files...)
	}
	return files
}

// ImageOf is where the images of an app are kept: those of several apps of one
// repository each have a place of their own.
func (s setup) ImageOf(app string) string {
	if len(s.Apps) > 1 {
		return s.Image + "/" + app
	}
	return s.Image
}

// EnvironmentNames are the environments, production first.
func (s setup) EnvironmentNames() []string {
	var names []string
	for _, e := range s.Environments {
		names = append(names, e.Name)
	}
	return names
}

// DefaultBranches are those of the first environment that are no patterns: from
// one of them workflows are started by hand.
func (s setup) DefaultBranches() []string {
	exact := slices.DeleteFunc(slices.Clone(s.Environments[0].Branches), func(b string) bool { return strings.ContainsAny(b, "*") })
	if len(exact) == 0 {
		return []string{"main"}
	}
	return exact
}

// look reads what the repository has.
func (o initCommand) look(files plain) (setup, error) {
	s := setup{Namespace: o.Namespace, Split: o.Split, HasApp: o.GitHubApp}
	origin := readOrigin(files)
	s.Repository = cmp.Or(o.Repository, origin.repository)
	if owner, name, ok := strings.Cut(s.Repository, "/"); !ok || owner == "" || name == "" || strings.Contains(name, "/") || !word(s.Repository) {
		return s, &fault{
			what: "the repository on GitHub is not known",
			why:  fmt.Sprintf("got %q from --repository, or from the remote origin in .git/config; want OWNER/NAME", s.Repository),
			next: "git remote add origin git@github.com:OWNER/NAME.git, or give --repository OWNER/NAME",
		}
	}
	if err := o.place(&s, origin); err != nil {
		return s, err
	}
	if err := o.describe(&s, files); err != nil {
		return s, err
	}
	var err error
	s.Image, s.Registry, err = o.images(s)
	return s, err
}

// place says where GitHub is.
func (o initCommand) place(s *setup, origin remote) error {
	var err error
	s.github, err = gitHubAt(cmp.Or(strings.TrimRight(o.GitHubURL, "/"), origin.web, gitHubComURL))
	s.github.api = cmp.Or(strings.TrimRight(o.GitHubAPIURL, "/"), s.github.api)
	s.Issuer = cmp.Or(strings.TrimRight(o.Issuer, "/"), s.github.issuer)
	if err == nil && !word(s.Issuer) {
		err = &fault{what: "--issuer is no address", why: fmt.Sprintf("got %q", s.Issuer), next: "give one such as https://token.actions.githubusercontent.com"}
	}
	return err
}

// describe says what the apps are, and where they are deployed to: as
// inhaul.yaml or another manifest has it, or as one will be written.
func (o initCommand) describe(s *setup, files plain) error {
	name := o.App
	if name == "" {
		name = convert.Name(path.Base(s.Repository))
	}
	apps, err := o.described(s, files)
	if err != nil {
		return err
	}
	if apps == nil {
		branch := cmp.Or(o.Branch, readBranch(files), "main")
		for flag, value := range map[string]string{"--app": name, "--branch": branch, "--environment": o.Environment} {
			if !word(value) {
				return &fault{what: flag + " is no name", why: fmt.Sprintf("got %q", value), next: "give one of letters, digits and dashes"}
			}
		}
		s.Apps, s.Branches = []string{name}, []string{branch}
		s.Environments = []deployed{{o.Environment, []string{branch}, true}}
		s.Draft, s.lacks = readDraft(files)
		if o.Hello && len(s.lacks) > 0 {
			s.hello, s.lacks = true, nil
			s.Draft.PortFrom = "EXPOSE in the Dockerfile"
		}
		return nil
	}
	if o.App != "" || o.Branch != "" {
		return &fault{what: "--app and --branch are for a new " + defaultFile, why: s.described + " says both", next: "leave them out, or change the file"}
	}
	places := map[string][]string{}
	for _, file := range apps {
		s.Apps, s.Paths = append(s.Apps, file.App), s.Paths || len(file.Paths) > 0
		for _, environment := range file.EnvironmentNames() {
			branches := file.Environments[environment].Branches
			if len(file.Environments) == 0 {
				branches = []string{"main"} // what the file means
			}
			if len(branches) > 0 {
				places[environment] = append(places[environment], branches...)
			}
		}
	}
	slices.Sort(s.Apps)
	return s.deploys(places, o.Environment)
}

// described are the apps of what is there already; nil if there is nothing.
func (o initCommand) described(s *setup, files plain) ([]*spec.File, error) {
	data, err := readCapped(files, defaultFile, spec.MaxFileBytes)
	ours := bytes.HasPrefix(data, []byte(writtenMark))
	if err == nil && (!ours || !o.Force) {
		s.described = defaultFile
		return spec.ParseAll(shown(filepath.Join(o.Dir, defaultFile)), data)
	}
	if err != nil && !absent(err) {
		return nil, err
	}
	if err == nil || !convert.Present(files) {
		return nil, nil
	}
	result, err := convert.Named(files, path.Base(s.Repository))
	if err != nil {
		return nil, err
	}
	s.described = strings.Join(result.From, " and ")
	return spec.ParseAll(s.described, result.YAML)
}

// deploys takes the environments in, the one that is meant by default first: it
// is production.
func (s *setup) deploys(places map[string][]string, production string) error {
	for name, branches := range places {
		slices.Sort(branches)
		branches = slices.Compact(branches)
		s.Environments = append(s.Environments, deployed{name, branches, name == production})
		s.Branches = append(s.Branches, branches...)
	}
	if len(s.Environments) == 0 {
		return &fault{what: "nothing is deployed anywhere", why: s.described + " has no environment with a branch", next: "say in it which branch is deployed where: environments: {production: {branch: main}}"}
	}
	slices.SortFunc(s.Environments, func(a, b deployed) int {
		if a.Production != b.Production {
			return map[bool]int{true: -1, false: 1}[a.Production]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	slices.Sort(s.Branches)
	s.Branches = slices.Compact(s.Branches)
	return nil
}

// readCapped is a file's content.
func readCapped(files fs.FS, name string, limit int64) ([]byte, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // because it is only read from
	return capped(file, limit)
}

// word reports whether text can stand in YAML as it is, in one word.
func word(text string) bool {
	return text != "" && len(text) < maxWord && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:@", r)
	}) && !strings.ContainsAny(text[:1], "-:@")
}

// maxWord is more than a name or an address has, in bytes.
const maxWord = 512
