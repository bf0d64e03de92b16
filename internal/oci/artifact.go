package oci

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Intents and receipts are OCI 1.0 image manifests with a config of our own type
// and one layer, the envelope. ECR is reported to refuse some OCI 1.1 artifact
// manifests: https://github.com/aws/containers-roadmap/issues/2783.
const (
	ConfigMediaType   types.MediaType = "application/vnd.inhaul.intent.v1+json"
	EnvelopeMediaType types.MediaType = "application/vnd.inhaul.intent.v1.dsse+json"

	ReceiptConfigMediaType   types.MediaType = "application/vnd.inhaul.receipt.v1+json"
	ReceiptEnvelopeMediaType types.MediaType = "application/vnd.inhaul.receipt.v1.dsse+json"
)

// kind is what an envelope is of.
type kind struct {
	noun             string
	config, envelope types.MediaType
	most             int   // bytes of the envelope
	foreign          error // for what is something else
}

func intentKind() kind {
	return kind{"an intent", ConfigMediaType, EnvelopeMediaType, MaxEnvelopeBytes, ErrNotIntent}
}

func receiptKind() kind {
	return kind{"a receipt", ReceiptConfigMediaType, ReceiptEnvelopeMediaType, MaxReceiptBytes, ErrNotReceipt}
}

// emptyConfig is all that the config has to say: its media type says the rest.
const emptyConfig = "{}"

// artifact is an envelope in the shape that the registry client pushes.
type artifact struct {
	manifest []byte
	envelope v1.Layer
}

var _ partial.CompressedImageCore = (*artifact)(nil)

// newArtifact is a function of kind and envelope alone: the same intent always
// has the same manifest digest, so publishing again finds itself.
func newArtifact(k kind, envelope []byte) (v1.Image, error) {
	layer := static.NewLayer(envelope, k.envelope)
	config, err := describe(static.NewLayer([]byte(emptyConfig), k.config))
	if err != nil {
		return nil, err
	}
	content, err := describe(layer)
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        config,
		Layers:        []v1.Descriptor{content},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	return partial.CompressedToImage(&artifact{manifest: manifest, envelope: layer})
}

func describe(layer v1.Layer) (v1.Descriptor, error) {
	d, err := partial.Descriptor(layer)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("describing a layer: %w", err)
	}
	return *d, nil
}

func (a *artifact) RawConfigFile() ([]byte, error)      { return []byte(emptyConfig), nil }
func (a *artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a *artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a *artifact) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if d, err := a.envelope.Digest(); err != nil || d != h {
		return nil, fmt.Errorf("no layer %s", h)
	}
	return a.envelope, nil
}
