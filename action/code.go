package action

import (
	"bytes"
	"context"
	"path"
	"strings"
)

// findCode learns which commit is checked out, since that is what an image is
// made of: with a `ref:` of its own, actions/checkout has another one than the
// run's, and an image found by the run's commit would hold foreign code. Where git
// does not say, the run's commit is believed.
func (a *Action) findCode(ctx context.Context, d *deploy) {
	var out bytes.Buffer
	// In a container the checkout belongs to another user; nothing of it is run.
	err := a.probe(ctx, &out, "git", "-c", "safe.directory=*", "-C", path.Dir(d.config), "rev-parse", "--verify", "--quiet", "HEAD")
	head := strings.TrimSpace(out.String())
	if err != nil || !commitShape.MatchString(head) || head == d.code {
		return
	}
	a.infof("commit %s is checked out, and the run's commit is %s: the image is the one of %s", short(head), short(d.code), short(head))
	d.code = head
}
