package action

import (
	"bytes"
	"context"
	"regexp"
	"strings"

	"github.com/inhaul/inhaul/intent"
)

// maxDiffBytes is above what the names of all files of a large repository take.
const maxDiffBytes = 8 << 20

// changedFiles returns the files that a push changed, from the root of the
// repository; known is false where that cannot be told: by another event, by the
// first push of a branch, or when git cannot get the commit before.
//
// The payload that a workflow sees names no files:
// https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#push
func (a *Action) changedFiles(ctx context.Context, e event, s intent.Source) (files []string, known bool) {
	before := e.Before
	if s.Event != "push" || !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(before) || strings.Trim(before, "0") == "" {
		return nil, false
	}
	diff := func() ([]string, bool) {
		var out bytes.Buffer
		if a.probe(ctx, &out, "git", "diff", "--name-only", "--no-renames", "-z", before, s.Commit) != nil || out.Len() > maxDiffBytes {
			return nil, false
		}
		return strings.FieldsFunc(out.String(), func(r rune) bool { return r == 0 }), true
	}
	if files, known = diff(); known {
		return files, true
	}
	var out bytes.Buffer // actions/checkout fetches one commit by default, and leaves its login
	if a.probe(ctx, &out, "git", "fetch", "--quiet", "--no-tags", "--depth=1", "origin", before) == nil {
		if files, known = diff(); known {
			return files, true
		}
	}
	a.github().Noticef("it cannot be told what the push changes, so every app is deployed: git does not have the commit before it, %s", short(before))
	return nil, false
}
