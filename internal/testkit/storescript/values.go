package storescript

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func number32(s string) (uint32, error) {
	if s == "*" {
		return 1<<32 - 1, nil
	}
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, mistake("%q is no number", s)
	}
	return uint32(n), nil
}

// parseValue reads a value of a tag's type.
func parseValue(t mapi.Tag, s string) (mapi.Value, error) {
	switch t.Type().Column() {
	case mapi.TypeString:
		return mapi.String(s), nil
	case mapi.TypeMultiString:
		return mapi.Strings(strings.Split(s, ",")), nil
	case mapi.TypeBoolean:
		return mapi.Boolean(s == "yes" || s == "true"), nil
	case mapi.TypeInteger16, mapi.TypeInteger32, mapi.TypeInteger64:
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", s)
		}
		return map[mapi.Type]mapi.Value{mapi.TypeInteger16: mapi.Integer16(n), mapi.TypeInteger32: mapi.Integer32(n), mapi.TypeInteger64: mapi.Integer64(n)}[t.Type()], nil
	case mapi.TypeTime:
		at, err := time.Parse(time.RFC3339, s)
		return mapi.FileTimeOf(at), err
	case mapi.TypeBinary:
		b, err := hex.DecodeString(s)
		return mapi.Binary(b), err
	}
	return nil, fmt.Errorf("no way to write a value of type %#04x", uint16(t.Type()))
}

func parseProp(t mapi.Tag, s string) (mapi.Prop, error) {
	v, err := parseValue(t, s)
	return mapi.Prop{Tag: mapi.NewTag(t.ID(), t.Type().Column()), Value: v}, err
}

// parseBag reads properties, each as name=value.
func parseBag(words []string) (mapi.PropBag, error) {
	var bag mapi.PropBag
	for _, w := range words {
		name, text, ok := strings.Cut(w, "=")
		t, err := parseTag(name)
		if err != nil || !ok {
			return bag, mistake("%q is no property with a value: %v", w, err)
		}
		v, err := parseValue(t, text)
		if err != nil {
			return bag, mistakeError{err}
		}
		bag.Set(t, v)
	}
	return bag, nil
}

// tag reads a property's name as parseTag does, or the canonical name of a named property, to which it has the mailbox give an
// id.
func (r *run) tag(name string) (mapi.Tag, error) {
	named, ok := mapi.NamedByName(name)
	if !ok {
		t, err := parseTag(name)
		if err != nil {
			return 0, mistakeError{err}
		}
		return t, nil
	}
	resp, err := exmdb.Do(r.cmd.ctx, r.look().Caller, exmdb.System, r.cmd.box.id, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{named.PropertyName}})
	if err != nil {
		return 0, err
	}
	return named.Tag(resp.IDs[0]), nil
}

func (r *run) tags(names []string) ([]mapi.Tag, error) {
	var tags []mapi.Tag
	for _, n := range names {
		t, err := r.tag(n)
		if err != nil {
			return nil, err
		}
		tags = append(tags, t)
	}
	return tags, nil
}

// bag reads properties as parseBag does, named ones too. "entry:PATH" is the entry id of a folder, "long:N" a value of so many
// letters, "unique:N" one that no other is like.
func (r *run) bag(words []string) (mapi.PropBag, error) {
	var bag mapi.PropBag
	for _, w := range words {
		name, text, ok := strings.Cut(w, "=")
		if !ok {
			return bag, mistake("%q is no property with a value", w)
		}
		t, err := r.tag(name)
		if err != nil {
			return bag, err
		}
		v, err := r.valueOf(t, text)
		if err != nil {
			return bag, err
		}
		bag.Set(t, v)
	}
	return bag, nil
}

func (r *run) valueOf(t mapi.Tag, text string) (mapi.Value, error) {
	if path, ok := strings.CutPrefix(text, "entry:"); ok {
		fid, err := r.folder(path)
		if err != nil {
			return nil, err
		}
		return r.prop(exmdb.ObjectID{Folder: fid}, mapi.PidTagEntryId)
	}
	if n, ok := strings.CutPrefix(text, "long:"); ok {
		size, err := number32(n)
		return mapi.String(strings.Repeat("x", int(size))), err
	}
	if n, ok := strings.CutPrefix(text, "unique:"); ok {
		size, err := number32(n)
		r.uniques++
		return mapi.String(fmt.Sprintf("%0*d", int(size), r.uniques)), err
	}
	v, err := parseValue(t, text)
	if err != nil {
		return nil, mistakeError{err}
	}
	return v, nil
}

// valueWords is a value as scripts show it.
func valueWords(v mapi.Value) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case mapi.String:
		return string(v)
	case mapi.Binary:
		return hex.EncodeToString(v)
	case mapi.FileTime:
		return v.Time().Format(time.RFC3339)
	case mapi.Reference:
		return "(apart)"
	case mapi.ErrorCode:
		return fmt.Sprintf("error %#x", uint32(v))
	}
	return fmt.Sprint(v)
}
