package agent

import (
	"fmt"
	"regexp"
	"strconv"
)

// headClaim is the claim of a token that names the branch of a pull request.
//
// https://docs.github.com/en/actions/reference/security/oidc
const headClaim = "head_ref"

// forkHeads are the patterns of branches that have the code of forks; none if the App
// has no such class.
func forkHeads(app App) ([]*regexp.Regexp, error) {
	if app.PreviewPolicy == nil || app.PreviewPolicy.Forks == nil {
		return nil, nil
	}
	heads, err := compilePatterns(app.PreviewPolicy.Forks.Heads)
	if err != nil {
		return nil, fmt.Errorf("previews: forks: heads: %w", err)
	}
	return heads, nil
}

// forkStep keeps the code of forks to the rules that are for it, and these to it. An
// intent that is signed without a token names no branch, and is of no fork.
func (r compiledRule) forkStep(head string) step {
	is := matches(r.heads, head)
	want := "a branch that has not the code of a fork: it takes a rule with forks: true"
	if r.Forks {
		want = "a branch that has the code of a fork: the rule is for nothing else"
	}
	return step{"pull request branch", is == r.Forks, strconv.Quote(head), want}
}

// forked reports whether r runs code that comes from a fork.
func (a *Agent) forked(r Release) bool {
	app, _ := a.app(r.Line.App)
	heads, err := forkHeads(app)
	return err == nil && matches(heads, r.Evidence.Claims[headClaim])
}
