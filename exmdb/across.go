package exmdb

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// CarryAcrossRequest copies or moves messages of a folder by MID into a folder of another mailbox, wherever that is. What is
// asked for is written down and done afterwards, for each message once: first it is there, then no more here (CLUSTER 2.1).
// Where the other mailbox does not take a message it stays.
type CarryAcrossRequest struct {
	Folder   mapi.FID       `wire:"1"`
	Messages []mapi.MID     `wire:"2"`
	Mailbox  mapi.MailboxID `wire:"3"`
	Target   mapi.FID       `wire:"4"`
	// Copy leaves the messages where they are.
	Copy bool `wire:"5"`
}

// CarryAcrossResponse says how many messages are on their way. Missing, Next and Denied are as in MarkMessagesResponse.
type CarryAcrossResponse struct {
	Taken   uint32     `wire:"1"`
	Missing []mapi.MID `wire:"2"`
	Next    uint32     `wire:"3"`
	Denied  bool       `wire:"4"`
}

// IntentAcross is the op of an intent that carries a Crossing; TargetMailbox with the id of the mailbox is its target.
const (
	IntentAcross  uint16 = 2
	TargetMailbox        = "mailbox "
)

// Crossing is a message on its way into another mailbox, and who wants it there.
type Crossing struct {
	Folder  mapi.FID       `wire:"1"`
	Message mapi.MID       `wire:"2"`
	Mailbox mapi.MailboxID `wire:"3"`
	Target  mapi.FID       `wire:"4"`
	Copy    bool           `wire:"5"`
	As      Identity       `wire:"6"`
}

// CrossingResponse is the message as it is now. Gone says that it is not where it was: then nobody wants it carried.
type CrossingResponse struct {
	Gone    bool           `wire:"1"`
	CN      mapi.Stamp     `wire:"2"`
	Message CarriedMessage `wire:"3"`
}

// CarriedMessage is all of a message that is the same in another mailbox. Long values and octets are references: content is
// brought ahead, or inline.
type CarriedMessage struct {
	// Marks are those of the store's row, Flags what is there for who carries it.
	Marks    uint32    `wire:"1"`
	Flags    Flags     `wire:"2"`
	Verb     uint32    `wire:"3"`
	Icon     uint32    `wire:"4"`
	Received time.Time `wire:"5"`
	// Body is its MIME form and Original that with which it was received, where that is another; nil where there is none.
	Body     *NewMessage `wire:"6"`
	Original *NewMessage `wire:"7"`
	// Content is what is stored of its properties. HasRecipients says that its recipients are its own and not those of the
	// header.
	Content       MessageContent `wire:"8"`
	HasRecipients bool           `wire:"9"`
	Names         []NamedID      `wire:"10"`
}

// Pieces is the content that the message refers to, by hash, with how long each piece is.
func (m *CarriedMessage) Pieces() map[[32]byte]uint32 {
	pieces := make(map[[32]byte]uint32)
	for _, body := range []*NewMessage{m.Body, m.Original} {
		if body == nil {
			continue
		}
		for i := range body.Recipe.Segments {
			for _, c := range body.Recipe.Segments[i].Chunks {
				pieces[c.Hash] = c.Size
			}
		}
	}
	for _, bag := range m.Content.Bags() {
		for _, r := range bag.References() {
			pieces[r.Hash] = r.Size
		}
	}
	return pieces
}

// ReadCrossingRequest asks for a piece of content of a message on its way.
type ReadCrossingRequest struct {
	Hash [32]byte `wire:"1"`
}

// TakeInRequest brings a message of another mailbox: the intent Number of Source, once. It is refused to whoever could not make
// a message in the folder.
type TakeInRequest struct {
	Source  cluster.SpaceID `wire:"1"`
	Number  uint64          `wire:"2"`
	As      Identity        `wire:"3"`
	Target  mapi.FID        `wire:"4"`
	Message CarriedMessage  `wire:"5"`
	// Inline is the content that was not brought ahead, MaxInline bytes at most in all.
	Inline [][]byte `wire:"6"`
}

// TakeInResponse says that it was here already, or which message it is.
type TakeInResponse struct {
	Duplicate bool     `wire:"1"`
	MID       mapi.MID `wire:"2"`
}

// FinishCrossingRequest says that the other mailbox has the message as it was at a CN.
type FinishCrossingRequest struct {
	Crossing Crossing   `wire:"1"`
	CN       mapi.Stamp `wire:"2"`
}

// FinishCrossingResponse says that the message has changed meanwhile and therefore stays.
type FinishCrossingResponse struct {
	Stays bool `wire:"1"`
}

// CarryAcross asks for messages of one mailbox to be carried into another. It asks there first, so that who may not is told at
// once.
func CarryAcross(ctx context.Context, c Caller, as Identity, box mapi.MailboxID, req CarryAcrossRequest) (*CarryAcrossResponse, error) {
	there, err := Do(ctx, c, as, req.Mailbox, OpEffectiveRights, &EffectiveRightsRequest{Folders: []mapi.FID{req.Target}})
	if err != nil {
		return nil, err
	}
	if !there.Whole && (len(there.Rights) == 0 || there.Rights[0]&RightCreate == 0) {
		return nil, cluster.Errorf(KindAccessDenied, "user %v may not make messages there", as.User)
	}
	all := &CarryAcrossResponse{}
	err = InSteps(ctx, func() (bool, error) {
		resp, err := Do(ctx, c, as, box, OpCarryAcross, &req)
		if err != nil {
			return false, err
		}
		all.Taken += resp.Taken
		all.Missing = append(all.Missing, resp.Missing...)
		all.Denied = all.Denied || resp.Denied
		req.Messages = req.Messages[resp.Next:]
		return resp.Next > 0, nil
	})
	return all, err
}
