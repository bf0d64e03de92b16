package action

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// buildKeyVersion changes when the same inputs would build another image.
const buildKeyVersion = 1

// tagKeyLength is how many hex digits of a build key a tag shows.
const tagKeyLength = 12

// buildKey is a digest of everything but the commit that decides what an image
// holds. Files are not part of it: the commit stands for them.
func (b build) key() string {
	// Maps are encoded in the order of their keys.
	data, err := json.Marshal(struct {
		Version    int
		Dockerfile string
		Context    string
		Target     string
		Args       map[string]string
		Platforms  []string
		Base       string   `json:",omitempty"`
		Packs      []string `json:",omitempty"`
		Secrets    []string `json:",omitempty"` // which there are; what they are is nobody's business
	}{buildKeyVersion, b.dockerfile, b.context, b.target, b.args, b.platforms, b.base, b.packs, b.secretIDs()})
	if err != nil {
		panic("action: strings do not encode: " + err.Error()) // they always do
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:tagKeyLength]
}

func (b build) secretIDs() []string {
	var ids []string
	for _, s := range b.secrets {
		ids = append(ids, s.id)
	}
	slices.Sort(ids)
	return ids
}

// imageTag is where the image of a commit is looked for before it is built.
func imageTag(commit, key string) string { return commit + "-" + key }

// cacheTag is where the layers of earlier builds are kept, across commits.
func cacheTag(key string) string { return "cache-" + key }
