package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// maxChanges is how many changed settings are listed: a screen of a telephone.
const maxChanges = 12

// changes is what is different from the release that served before: its commits,
// its image, its settings.
func (r Release) changes(v view) string {
	before := v.before(r)
	if before == nil || len(r.App.Services) == 0 || len(before.App.Services) == 0 {
		return ""
	}
	var lines []string
	if commits := r.commits(*before, v); commits != "" {
		lines = append(lines, commits)
	}
	if is, was := shortDigest(r.Image), shortDigest(before.Image); is != was {
		lines = append(lines, fmt.Sprintf("image: `%s` → `%s`", was, is))
	}
	settings := outermost(spec.Diff(before.App, r.App))
	for _, change := range settings[:min(len(settings), maxChanges)] {
		lines = append(lines, changeLine(change))
	}
	if more := len(settings) - maxChanges; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	if len(lines) == 0 {
		return fmt.Sprintf("Nothing is different from release %d: same commit, image and settings.", before.Number)
	}
	return fmt.Sprintf("**Changed since release %d**\n\n- ", before.Number) + strings.Join(lines, "\n- ")
}

// outermost are changes without those within another one: of a service that came
// or went as a whole, one line is enough.
func outermost(changes []spec.Change) []spec.Change {
	var kept []spec.Change
	for _, c := range changes {
		within := func(outer spec.Change) bool {
			return outer.Kind == c.Kind && c.Kind != spec.Changed && strings.HasPrefix(c.Path, outer.Path+".")
		}
		if !slices.ContainsFunc(kept, within) {
			kept = append(kept, c)
		}
	}
	return kept
}

func changeLine(c spec.Change) string {
	path := code(clip(c.Path, maxRule))
	switch c.Kind {
	case spec.Added:
		return path + ": " + orElse(code(c.New), "set") + " (new)"
	case spec.Removed:
		return path + ": " + orElse(code(c.Old), "unset") + " (gone)"
	case spec.Changed:
	}
	return path + ": " + orElse(code(c.Old), "nothing") + " → " + orElse(code(c.New), "nothing")
}

// commits is the range of commits from before to r, or what going back takes away;
// empty if both run the same.
func (r Release) commits(before Release, v view) string {
	was, is := before.deployed(v.Releases), r.deployed(v.Releases)
	if was == is || was == "" || is == "" || before.Source.RepositoryID != r.Source.RepositoryID {
		return ""
	}
	if r.Reason == ReasonRollback { // GitHub compares with what came later
		return "without the commits " + link(code(short(is)+".."+short(was)), v.compare(r.Source.Repository, is, was))
	}
	return "commits: " + link(code(short(was)+".."+short(is)), v.compare(r.Source.Repository, was, is))
}

// The shapes of what may be a part of an address on GitHub, compiled once.
var (
	repositoryShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)
	commitShape     = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// compare is where GitHub shows the commits between two; empty if it cannot.
func (v view) compare(repository, from, to string) string {
	if !commitShape.MatchString(from) || !commitShape.MatchString(to) {
		return ""
	}
	return v.page(repository, "compare/"+from+"..."+to)
}

// run is where GitHub shows a run of a workflow; empty if there is none.
func (v view) run(repository string, id, attempt int64) string {
	if id == 0 {
		return ""
	}
	path := fmt.Sprintf("actions/runs/%d", id)
	if attempt > 1 {
		path += fmt.Sprintf("/attempts/%d", attempt)
	}
	return v.page(repository, path)
}

// newer names the commit that took another one's place, and leads there.
func (v view) newer(repository, commit string) string {
	for _, r := range v.Releases {
		if r.Source.Commit == commit {
			repository = r.Source.Repository
		}
	}
	to := ""
	if commitShape.MatchString(commit) {
		to = v.page(repository, "commit/"+commit)
	}
	return link(code(short(commit)), to)
}

// page is an address below a repository's.
func (v view) page(repository, path string) string {
	if !repositoryShape.MatchString(repository) {
		return ""
	}
	return strings.TrimSuffix(orElse(v.ServerURL, DefaultServerURL), "/") + "/" + repository + "/" + path
}
