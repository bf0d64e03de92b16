package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/envelope"
)

// Where the key that signs receipts is kept, in the agent's own namespace: all of
// it in a Secret, and for people its public half in a ConfigMap.
const (
	receiptKeyName    = "inhaul-receipt-key"
	receiptPrivateKey = "private.pem"
	receiptPublicKey  = "public.pem"
)

// ReceiptKey returns the key that signs receipts. Where there is none yet it is
// made, once, whichever replica is first: who deletes the Secret gets a new one. With
// the key an error says that its public half cannot be shown: it signs all the same.
// Only a leader may call it.
func (c *Client) ReceiptKey(ctx context.Context) (*envelope.KeySigner, error) {
	secret, err := c.receiptSecret(ctx)
	if err != nil {
		return nil, err
	}
	signer, err := envelope.NewKeySigner(secret.Data[receiptPrivateKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s: key %s: %w: delete the Secret, and a new key is made", receiptKeyName, receiptPrivateKey, err)
	}
	return signer, c.showReceiptKey(ctx, signer.Public())
}

// receiptSecret returns the Secret with the key, and makes it if there is none.
func (c *Client) receiptSecret(ctx context.Context) (*corev1.Secret, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	secrets := c.clients.core.Secrets(c.namespace)
	secret, err := secrets.Get(ctx, receiptKeyName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return secret, wrapped("reading the receipts' key", err)
	}
	private, err := envelope.GenerateKey()
	if err != nil {
		return nil, err
	}
	immutable := true
	secret, err = secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: receiptKeyName, Namespace: c.namespace,
			Annotations: map[string]string{
				"kubernetes.io/description": "Signs the agent's receipts. Deleted, it becomes a new key: whoever pinned the old one has to pin that.",
			},
		},
		Immutable: &immutable,
		Data:      map[string][]byte{receiptPrivateKey: private},
	}, metav1.CreateOptions{FieldManager: render.Manager})
	if apierrors.IsAlreadyExists(err) { // another replica, which led a moment ago
		secret, err = secrets.Get(ctx, receiptKeyName, metav1.GetOptions{})
		return secret, wrapped("reading the receipts' key", err)
	}
	return secret, wrapped("keeping the receipts' key", err)
}

// showReceiptKey keeps the public half where people find it.
func (c *Client) showReceiptKey(ctx context.Context, key envelope.PublicKey) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata": map[string]any{
			"name": receiptKeyName, "namespace": c.namespace,
			"annotations": map[string]string{
				"kubernetes.io/description": "What verifies the agent's receipts; its fingerprint is " + key.ID(),
			},
		},
		"data": map[string]string{receiptPublicKey: key.PEM()},
	})
	if err != nil {
		return err
	}
	force := true
	_, err = c.clients.core.ConfigMaps(c.namespace).Patch(ctx, receiptKeyName, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: render.Manager, Force: &force})
	return wrapped("showing the receipts' key", err)
}

func wrapped(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
