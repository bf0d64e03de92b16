package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
)

// replacer is the field manager of a spec that is replaced as a whole. It owns
// nothing for longer than that takes: what two managers own does not go when a
// later release leaves it out.
const replacer = "inhaul-replace"

// putBack writes u as release number has it.
//
// Server-side apply adds its fields to those of others and cannot take theirs
// away. Where both together are invalid (a port with another number and the same
// name, a variable with value and valueFrom), the whole spec is replaced first.
func (c *Client) putBack(ctx context.Context, u *unstructured.Unstructured, number int) error {
	err := c.write(ctx, u, number)
	if !apierrors.IsInvalid(err) {
		return err
	}
	at := reference(u)
	kind, _ := c.resource(at.Kind)
	live, err := c.read(ctx, kind, at)
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", at.Kind, at.Name, err)
	}
	if _, err := c.replaceSpec(ctx, u, live, nil); err != nil {
		return fmt.Errorf("replacing %s %s: %w", at.Kind, at.Name, err)
	}
	return c.write(ctx, u, number)
}

// replaceSpec gives live the spec of u, unless somebody has written to it since,
// and returns what the API server makes of it.
func (c *Client) replaceSpec(ctx context.Context, u *unstructured.Unstructured, live object, dryRun []string) (object, error) {
	return c.patchAt(ctx, reference(u), dryRun, []map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
		{"op": "replace", "path": "/spec", "value": u.Object["spec"]},
	})
}

// disown takes the replacer out of the managed fields of written, which the agent
// owns now itself, and returns what is there then.
func (c *Client) disown(ctx context.Context, at agent.Object, written object) (object, error) {
	entries := written.GetManagedFields()
	kept := slices.DeleteFunc(slices.Clone(entries), func(e metav1.ManagedFieldsEntry) bool { return e.Manager == replacer })
	if len(kept) == len(entries) {
		return written, nil
	}
	return c.patchAt(ctx, at, nil, []map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": written.GetResourceVersion()},
		{"op": "replace", "path": "/metadata/managedFields", "value": kept},
	})
}

func (c *Client) patchAt(ctx context.Context, at agent.Object, dryRun []string, patch []map[string]any) (object, error) {
	r, ok := c.resource(at.Kind)
	if !ok {
		return nil, notAllowed(at)
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	return c.patch(ctx, r, at, body, patchOptions{kind: types.JSONPatchType, manager: replacer, dryRun: dryRun})
}
