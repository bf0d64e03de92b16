package e2e

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mostEdits is how often a stranger edits what one release has made: the sixth
// drift of an object within ten minutes is left alone, and one that the agent dies
// in may count twice.
const mostEdits = 2

// stranger edits or deletes behind the agent's back what a release has made, in a
// quiet moment or amid a rollout. What a release left when it failed is nobody's
// to put back: there a new one comes first.
func (c *chaos) stranger(ctx context.Context, l *line) (string, error) {
	releases := c.ledger.of(l)
	left := len(releases) > 0 && releases[len(releases)-1].leftAsItFailed(l)
	kind, amid, broken, wait := c.dice.IntN(3), c.dice.IntN(2) == 0, c.dice.IntN(4) == 0, c.upTo(3*time.Second)
	name, edit := c.team.edit(l, kind)
	if amid || left || c.edits[l] >= mostEdits {
		name += ", amid a rollout"
		if err := c.push(ctx, l, content{broken: broken && !l.keepsFailed}); err != nil {
			return name, err
		}
		time.Sleep(wait)
	}
	c.edits[l]++
	return name, insist(ctx, edit)
}

// edit is one of three things that a stranger does to a line, and its name.
func (tm *team) edit(l *line, kind int) (name string, do func(context.Context) error) {
	web := l.app + "-web"
	patch := func(how types.PatchType, text string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := tm.client.Resource(deploymentResource).Namespace(l.namespace).Patch(ctx, web, how, []byte(text), metav1.PatchOptions{FieldManager: "stranger"})
			return err
		}
	}
	switch kind {
	case 0:
		return "a stranger sets the image", patch(types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"registry.example/stranger"}]}}}}`)
	case 1:
		return "a stranger sets the replicas", patch(types.MergePatchType, `{"spec":{"replicas":3}}`)
	}
	return "a stranger deletes the Service", func(ctx context.Context) error {
		err := tm.client.Resource(renderedResources()["Service"]).Namespace(l.namespace).Delete(ctx, web, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
}

// insist does something until it is done: an API server may be down.
func insist(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(publishRetry):
		}
	}
}
