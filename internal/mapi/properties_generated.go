// Code generated from properties.tsv by internal/gen. DO NOT EDIT.

package mapi

// Property sets (MS-OXPROPS 1.3.2).
var (
	PSETIDAddress           = GUID{0x04, 0x20, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00062004-0000-0000-C000-000000000046
	PSETIDAppointment       = GUID{0x02, 0x20, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00062002-0000-0000-C000-000000000046
	PSETIDAttachment        = GUID{0x7F, 0x7F, 0x35, 0x96, 0xE1, 0x59, 0xD0, 0x47, 0x99, 0xA7, 0x46, 0x51, 0x5C, 0x18, 0x3B, 0x54} // 96357F7F-59E1-47D0-99A7-46515C183B54
	PSETIDCalendarAssistant = GUID{0x07, 0x0E, 0x00, 0x11, 0x1B, 0xB5, 0xD6, 0x40, 0xAF, 0x21, 0xCA, 0xA8, 0x5E, 0xDA, 0xB1, 0xD0} // 11000E07-B51B-40D6-AF21-CAA85EDAB1D0
	PSETIDCommon            = GUID{0x08, 0x20, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00062008-0000-0000-C000-000000000046
	PSETIDLog               = GUID{0x0A, 0x20, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 0006200A-0000-0000-C000-000000000046
	PSETIDMeeting           = GUID{0x90, 0xDA, 0xD8, 0x6E, 0x0B, 0x45, 0x1B, 0x10, 0x98, 0xDA, 0x00, 0xAA, 0x00, 0x3F, 0x13, 0x05} // 6ED8DA90-450B-101B-98DA-00AA003F1305
	PSETIDNote              = GUID{0x0E, 0x20, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 0006200E-0000-0000-C000-000000000046
	PSETIDTask              = GUID{0x03, 0x20, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00062003-0000-0000-C000-000000000046
	PSInternetHeaders       = GUID{0x86, 0x03, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00020386-0000-0000-C000-000000000046
	PSMAPI                  = GUID{0x28, 0x03, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00020328-0000-0000-C000-000000000046
	PSPublicStrings         = GUID{0x29, 0x03, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46} // 00020329-0000-0000-C000-000000000046
)

// Properties (MS-OXPROPS 2).
const (
	PidTagAccess                                         = Tag(0x0FF4_0000 | Tag(TypeInteger32))
	PidTagAccessControlListData                          = Tag(0x3FE0_0000 | Tag(TypeBinary))
	PidTagAccessLevel                                    = Tag(0x0FF7_0000 | Tag(TypeInteger32))
	PidTagAccount                                        = Tag(0x3A00_0000 | Tag(TypeString))
	PidTagAdditionalRenEntryIds                          = Tag(0x36D8_0000 | Tag(TypeMultiBinary))
	PidTagAdditionalRenEntryIdsEx                        = Tag(0x36D9_0000 | Tag(TypeBinary))
	PidTagAddressBookDisplayNamePrintable                = Tag(0x39FF_0000 | Tag(TypeString))
	PidTagAddressBookEntryId                             = Tag(0x663B_0000 | Tag(TypeBinary))
	PidTagAddressBookManageDistributionList              = Tag(0x6704_0000 | Tag(TypeObject))
	PidTagAddressBookMessageId                           = Tag(0x674F_0000 | Tag(TypeInteger64))
	PidTagAddressBookRoomCapacity                        = Tag(0x0807_0000 | Tag(TypeInteger32))
	PidTagAddressBookRoomDescription                     = Tag(0x0809_0000 | Tag(TypeString))
	PidTagAddressType                                    = Tag(0x3002_0000 | Tag(TypeString))
	PidTagAlternateRecipientAllowed                      = Tag(0x0002_0000 | Tag(TypeBoolean))
	PidTagAnr                                            = Tag(0x360C_0000 | Tag(TypeString))
	PidTagArchiveDate                                    = Tag(0x301F_0000 | Tag(TypeTime))
	PidTagArchivePeriod                                  = Tag(0x301E_0000 | Tag(TypeInteger32))
	PidTagArchiveTag                                     = Tag(0x3018_0000 | Tag(TypeBinary))
	PidTagAssistant                                      = Tag(0x3A30_0000 | Tag(TypeString))
	PidTagAssistantTelephoneNumber                       = Tag(0x3A2E_0000 | Tag(TypeString))
	PidTagAssociated                                     = Tag(0x67AA_0000 | Tag(TypeBoolean))
	PidTagAssociatedContentCount                         = Tag(0x3617_0000 | Tag(TypeInteger32))
	PidTagAssociatedMessageSize                          = Tag(0x66B4_0000 | Tag(TypeInteger32))
	PidTagAssociatedMessageSizeExtended                  = Tag(0x66B4_0000 | Tag(TypeInteger64))
	PidTagAttachAdditionalInformation                    = Tag(0x370F_0000 | Tag(TypeBinary))
	PidTagAttachContentBase                              = Tag(0x3711_0000 | Tag(TypeString))
	PidTagAttachContentId                                = Tag(0x3712_0000 | Tag(TypeString))
	PidTagAttachContentLocation                          = Tag(0x3713_0000 | Tag(TypeString))
	PidTagAttachDataBinary                               = Tag(0x3701_0000 | Tag(TypeBinary))
	PidTagAttachDataObject                               = Tag(0x3701_0000 | Tag(TypeObject))
	PidTagAttachEncoding                                 = Tag(0x3702_0000 | Tag(TypeBinary))
	PidTagAttachExtension                                = Tag(0x3703_0000 | Tag(TypeString))
	PidTagAttachFilename                                 = Tag(0x3704_0000 | Tag(TypeString))
	PidTagAttachFlags                                    = Tag(0x3714_0000 | Tag(TypeInteger32))
	PidTagAttachLongFilename                             = Tag(0x3707_0000 | Tag(TypeString))
	PidTagAttachLongPathname                             = Tag(0x370D_0000 | Tag(TypeString))
	PidTagAttachMethod                                   = Tag(0x3705_0000 | Tag(TypeInteger32))
	PidTagAttachMimeTag                                  = Tag(0x370E_0000 | Tag(TypeString))
	PidTagAttachNumber                                   = Tag(0x0E21_0000 | Tag(TypeInteger32))
	PidTagAttachPathname                                 = Tag(0x3708_0000 | Tag(TypeString))
	PidTagAttachPayloadClass                             = Tag(0x371A_0000 | Tag(TypeString))
	PidTagAttachPayloadProviderGuidString                = Tag(0x3719_0000 | Tag(TypeString))
	PidTagAttachRendering                                = Tag(0x3709_0000 | Tag(TypeBinary))
	PidTagAttachSize                                     = Tag(0x0E20_0000 | Tag(TypeInteger32))
	PidTagAttachTag                                      = Tag(0x370A_0000 | Tag(TypeBinary))
	PidTagAttachTransportName                            = Tag(0x370C_0000 | Tag(TypeString))
	PidTagAttachmentContactPhoto                         = Tag(0x7FFF_0000 | Tag(TypeBoolean))
	PidTagAttachmentFlags                                = Tag(0x7FFD_0000 | Tag(TypeInteger32))
	PidTagAttachmentHidden                               = Tag(0x7FFE_0000 | Tag(TypeBoolean))
	PidTagAttachmentLinkId                               = Tag(0x7FFA_0000 | Tag(TypeInteger32))
	PidTagAttributeHidden                                = Tag(0x10F4_0000 | Tag(TypeBoolean))
	PidTagAttributeReadOnly                              = Tag(0x10F6_0000 | Tag(TypeBoolean))
	PidTagAutoForwardComment                             = Tag(0x0004_0000 | Tag(TypeString))
	PidTagAutoForwarded                                  = Tag(0x0005_0000 | Tag(TypeBoolean))
	PidTagAutoResponseSuppress                           = Tag(0x3FDF_0000 | Tag(TypeInteger32))
	PidTagBirthday                                       = Tag(0x3A42_0000 | Tag(TypeTime))
	PidTagBlockStatus                                    = Tag(0x1096_0000 | Tag(TypeInteger32))
	PidTagBody                                           = Tag(0x1000_0000 | Tag(TypeString))
	PidTagBodyContentId                                  = Tag(0x1015_0000 | Tag(TypeString))
	PidTagBodyContentLocation                            = Tag(0x1014_0000 | Tag(TypeString))
	PidTagBodyHtml                                       = Tag(0x1013_0000 | Tag(TypeString))
	PidTagBusiness2TelephoneNumber                       = Tag(0x3A1B_0000 | Tag(TypeString))
	PidTagBusiness2TelephoneNumbers                      = Tag(0x3A1B_0000 | Tag(TypeMultiString))
	PidTagBusinessFaxNumber                              = Tag(0x3A24_0000 | Tag(TypeString))
	PidTagBusinessHomePage                               = Tag(0x3A51_0000 | Tag(TypeString))
	PidTagBusinessTelephoneNumber                        = Tag(0x3A08_0000 | Tag(TypeString))
	PidTagCallbackTelephoneNumber                        = Tag(0x3A02_0000 | Tag(TypeString))
	PidTagCarTelephoneNumber                             = Tag(0x3A1E_0000 | Tag(TypeString))
	PidTagCdoRecurrenceid                                = Tag(0x10C5_0000 | Tag(TypeTime))
	PidTagChangeKey                                      = Tag(0x65E2_0000 | Tag(TypeBinary))
	PidTagChangeNumber                                   = Tag(0x67A4_0000 | Tag(TypeInteger64))
	PidTagChildrensNames                                 = Tag(0x3A58_0000 | Tag(TypeMultiString))
	PidTagClientActions                                  = Tag(0x6645_0000 | Tag(TypeBinary))
	PidTagClientSubmitTime                               = Tag(0x0039_0000 | Tag(TypeTime))
	PidTagCodePageId                                     = Tag(0x66C3_0000 | Tag(TypeInteger32))
	PidTagComment                                        = Tag(0x3004_0000 | Tag(TypeString))
	PidTagCommonViewsEntryId                             = Tag(0x35E6_0000 | Tag(TypeBinary))
	PidTagCompanyMainTelephoneNumber                     = Tag(0x3A57_0000 | Tag(TypeString))
	PidTagCompanyName                                    = Tag(0x3A16_0000 | Tag(TypeString))
	PidTagComputerNetworkName                            = Tag(0x3A49_0000 | Tag(TypeString))
	PidTagConflictEntryId                                = Tag(0x3FF0_0000 | Tag(TypeBinary))
	PidTagConflictItems                                  = Tag(0x1098_0000 | Tag(TypeMultiBinary))
	PidTagContainerClass                                 = Tag(0x3613_0000 | Tag(TypeString))
	PidTagContainerContents                              = Tag(0x360F_0000 | Tag(TypeObject))
	PidTagContainerFlags                                 = Tag(0x3600_0000 | Tag(TypeInteger32))
	PidTagContainerHierarchy                             = Tag(0x360E_0000 | Tag(TypeObject))
	PidTagContentCount                                   = Tag(0x3602_0000 | Tag(TypeInteger32))
	PidTagContentFilterSpamConfidenceLevel               = Tag(0x4076_0000 | Tag(TypeInteger32))
	PidTagContentUnreadCount                             = Tag(0x3603_0000 | Tag(TypeInteger32))
	PidTagConversationId                                 = Tag(0x3013_0000 | Tag(TypeBinary))
	PidTagConversationIndex                              = Tag(0x0071_0000 | Tag(TypeBinary))
	PidTagConversationIndexTracking                      = Tag(0x3016_0000 | Tag(TypeBoolean))
	PidTagConversationTopic                              = Tag(0x0070_0000 | Tag(TypeString))
	PidTagCountry                                        = Tag(0x3A26_0000 | Tag(TypeString))
	PidTagCreationTime                                   = Tag(0x3007_0000 | Tag(TypeTime))
	PidTagCreatorEntryId                                 = Tag(0x3FF9_0000 | Tag(TypeBinary))
	PidTagCreatorName                                    = Tag(0x3FF8_0000 | Tag(TypeString))
	PidTagCustomerId                                     = Tag(0x3A4A_0000 | Tag(TypeString))
	PidTagDamBackPatched                                 = Tag(0x6647_0000 | Tag(TypeBoolean))
	PidTagDamOriginalEntryId                             = Tag(0x6646_0000 | Tag(TypeBinary))
	PidTagDefaultPostMessageClass                        = Tag(0x36E5_0000 | Tag(TypeString))
	PidTagDeferredActionMessageOriginalEntryId           = Tag(0x6741_0000 | Tag(TypeServerID))
	PidTagDeferredDeliveryTime                           = Tag(0x000F_0000 | Tag(TypeTime))
	PidTagDeferredSendNumber                             = Tag(0x3FEB_0000 | Tag(TypeInteger32))
	PidTagDeferredSendTime                               = Tag(0x3FEF_0000 | Tag(TypeTime))
	PidTagDeferredSendUnits                              = Tag(0x3FEC_0000 | Tag(TypeInteger32))
	PidTagDelegateFlags                                  = Tag(0x686B_0000 | Tag(TypeMultiInteger32))
	PidTagDelegatedByRule                                = Tag(0x3FE3_0000 | Tag(TypeBoolean))
	PidTagDeleteAfterSubmit                              = Tag(0x0E01_0000 | Tag(TypeBoolean))
	PidTagDeletedAssociatedMessageCount                  = Tag(0x6643_0000 | Tag(TypeInteger32))
	PidTagDeletedCountTotal                              = Tag(0x670B_0000 | Tag(TypeInteger32))
	PidTagDeletedFolderCount                             = Tag(0x6641_0000 | Tag(TypeInteger32))
	PidTagDeletedMessageCount                            = Tag(0x6640_0000 | Tag(TypeInteger32))
	PidTagDeletedOn                                      = Tag(0x668F_0000 | Tag(TypeTime))
	PidTagDeliverTime                                    = Tag(0x0010_0000 | Tag(TypeTime))
	PidTagDepartmentName                                 = Tag(0x3A18_0000 | Tag(TypeString))
	PidTagDepth                                          = Tag(0x3005_0000 | Tag(TypeInteger32))
	PidTagDisplayBcc                                     = Tag(0x0E02_0000 | Tag(TypeString))
	PidTagDisplayCc                                      = Tag(0x0E03_0000 | Tag(TypeString))
	PidTagDisplayName                                    = Tag(0x3001_0000 | Tag(TypeString))
	PidTagDisplayNamePrefix                              = Tag(0x3A45_0000 | Tag(TypeString))
	PidTagDisplayTo                                      = Tag(0x0E04_0000 | Tag(TypeString))
	PidTagDisplayType                                    = Tag(0x3900_0000 | Tag(TypeInteger32))
	PidTagDisplayTypeEx                                  = Tag(0x3905_0000 | Tag(TypeInteger32))
	PidTagEmailAddress                                   = Tag(0x3003_0000 | Tag(TypeString))
	PidTagEndDate                                        = Tag(0x0061_0000 | Tag(TypeTime))
	PidTagEntryId                                        = Tag(0x0FFF_0000 | Tag(TypeBinary))
	PidTagExceptionEndTime                               = Tag(0x7FFC_0000 | Tag(TypeTime))
	PidTagExceptionReplaceTime                           = Tag(0x7FF9_0000 | Tag(TypeTime))
	PidTagExceptionStartTime                             = Tag(0x7FFB_0000 | Tag(TypeTime))
	PidTagExchangeNTSecurityDescriptor                   = Tag(0x0E84_0000 | Tag(TypeBinary))
	PidTagExpiryNumber                                   = Tag(0x3FED_0000 | Tag(TypeInteger32))
	PidTagExpiryTime                                     = Tag(0x0015_0000 | Tag(TypeTime))
	PidTagExpiryUnits                                    = Tag(0x3FEE_0000 | Tag(TypeInteger32))
	PidTagExtendedFolderFlags                            = Tag(0x36DA_0000 | Tag(TypeBinary))
	PidTagExtendedRuleMessageActions                     = Tag(0x0E99_0000 | Tag(TypeBinary))
	PidTagExtendedRuleMessageCondition                   = Tag(0x0E9A_0000 | Tag(TypeBinary))
	PidTagExtendedRuleSizeLimit                          = Tag(0x0E9B_0000 | Tag(TypeInteger32))
	PidTagFinderEntryId                                  = Tag(0x35E7_0000 | Tag(TypeBinary))
	PidTagFlagCompleteTime                               = Tag(0x1091_0000 | Tag(TypeTime))
	PidTagFlagStatus                                     = Tag(0x1090_0000 | Tag(TypeInteger32))
	PidTagFlatUrlName                                    = Tag(0x670E_0000 | Tag(TypeString))
	PidTagFolderAssociatedContents                       = Tag(0x3610_0000 | Tag(TypeObject))
	PidTagFolderFlags                                    = Tag(0x66A8_0000 | Tag(TypeInteger32))
	PidTagFolderId                                       = Tag(0x6748_0000 | Tag(TypeInteger64))
	PidTagFolderType                                     = Tag(0x3601_0000 | Tag(TypeInteger32))
	PidTagFollowupIcon                                   = Tag(0x1095_0000 | Tag(TypeInteger32))
	PidTagFreeBusyCountMonths                            = Tag(0x6869_0000 | Tag(TypeInteger32))
	PidTagFreeBusyEntryIds                               = Tag(0x36E4_0000 | Tag(TypeMultiBinary))
	PidTagFreeBusyMessageEmailAddress                    = Tag(0x6849_0000 | Tag(TypeString))
	PidTagFreeBusyPublishEnd                             = Tag(0x6848_0000 | Tag(TypeInteger32))
	PidTagFreeBusyPublishStart                           = Tag(0x6847_0000 | Tag(TypeInteger32))
	PidTagFreeBusyRangeTimestamp                         = Tag(0x6868_0000 | Tag(TypeTime))
	PidTagFtpSite                                        = Tag(0x3A4C_0000 | Tag(TypeString))
	PidTagGatewayNeedsToRefresh                          = Tag(0x6846_0000 | Tag(TypeBoolean))
	PidTagGender                                         = Tag(0x3A4D_0000 | Tag(TypeInteger16))
	PidTagGeneration                                     = Tag(0x3A05_0000 | Tag(TypeString))
	PidTagGivenName                                      = Tag(0x3A06_0000 | Tag(TypeString))
	PidTagGovernmentIdNumber                             = Tag(0x3A07_0000 | Tag(TypeString))
	PidTagHasAttachments                                 = Tag(0x0E1B_0000 | Tag(TypeBoolean))
	PidTagHasDeferredActionMessages                      = Tag(0x3FEA_0000 | Tag(TypeBoolean))
	PidTagHasNamedProperties                             = Tag(0x664A_0000 | Tag(TypeBoolean))
	PidTagHasRules                                       = Tag(0x663A_0000 | Tag(TypeBoolean))
	PidTagHierRev                                        = Tag(0x4082_0000 | Tag(TypeTime))
	PidTagHierarchyChangeNumber                          = Tag(0x663E_0000 | Tag(TypeInteger32))
	PidTagHobbies                                        = Tag(0x3A43_0000 | Tag(TypeString))
	PidTagHome2TelephoneNumber                           = Tag(0x3A2F_0000 | Tag(TypeString))
	PidTagHome2TelephoneNumbers                          = Tag(0x3A2F_0000 | Tag(TypeMultiString))
	PidTagHomeAddressCity                                = Tag(0x3A59_0000 | Tag(TypeString))
	PidTagHomeAddressCountry                             = Tag(0x3A5A_0000 | Tag(TypeString))
	PidTagHomeAddressPostOfficeBox                       = Tag(0x3A5E_0000 | Tag(TypeString))
	PidTagHomeAddressPostalCode                          = Tag(0x3A5B_0000 | Tag(TypeString))
	PidTagHomeAddressStateOrProvince                     = Tag(0x3A5C_0000 | Tag(TypeString))
	PidTagHomeAddressStreet                              = Tag(0x3A5D_0000 | Tag(TypeString))
	PidTagHomeFaxNumber                                  = Tag(0x3A25_0000 | Tag(TypeString))
	PidTagHomeTelephoneNumber                            = Tag(0x3A09_0000 | Tag(TypeString))
	PidTagHtml                                           = Tag(0x1013_0000 | Tag(TypeBinary))
	PidTagICalendarEndTime                               = Tag(0x10C4_0000 | Tag(TypeTime))
	PidTagICalendarReminderNextTime                      = Tag(0x10CA_0000 | Tag(TypeTime))
	PidTagICalendarStartTime                             = Tag(0x10C3_0000 | Tag(TypeTime))
	PidTagIconIndex                                      = Tag(0x1080_0000 | Tag(TypeInteger32))
	PidTagImportance                                     = Tag(0x0017_0000 | Tag(TypeInteger32))
	PidTagInConflict                                     = Tag(0x666C_0000 | Tag(TypeBoolean))
	PidTagInReplyToId                                    = Tag(0x1042_0000 | Tag(TypeString))
	PidTagInitialDetailsPane                             = Tag(0x3F08_0000 | Tag(TypeInteger32))
	PidTagInitials                                       = Tag(0x3A0A_0000 | Tag(TypeString))
	PidTagInstID                                         = Tag(0x674D_0000 | Tag(TypeInteger64))
	PidTagInstanceKey                                    = Tag(0x0FF6_0000 | Tag(TypeBinary))
	PidTagInstanceNum                                    = Tag(0x674E_0000 | Tag(TypeInteger32))
	PidTagInternetArticleNumber                          = Tag(0x0E23_0000 | Tag(TypeInteger32))
	PidTagInternetCodepage                               = Tag(0x3FDE_0000 | Tag(TypeInteger32))
	PidTagInternetMailOverrideFormat                     = Tag(0x5902_0000 | Tag(TypeInteger32))
	PidTagInternetMessageId                              = Tag(0x1035_0000 | Tag(TypeString))
	PidTagInternetReferences                             = Tag(0x1039_0000 | Tag(TypeString))
	PidTagIpmAppointmentEntryId                          = Tag(0x36D0_0000 | Tag(TypeBinary))
	PidTagIpmContactEntryId                              = Tag(0x36D1_0000 | Tag(TypeBinary))
	PidTagIpmDraftsEntryId                               = Tag(0x36D7_0000 | Tag(TypeBinary))
	PidTagIpmJournalEntryId                              = Tag(0x36D2_0000 | Tag(TypeBinary))
	PidTagIpmNoteEntryId                                 = Tag(0x36D3_0000 | Tag(TypeBinary))
	PidTagIpmOutboxEntryId                               = Tag(0x35E2_0000 | Tag(TypeBinary))
	PidTagIpmSentMailEntryId                             = Tag(0x35E4_0000 | Tag(TypeBinary))
	PidTagIpmSubtreeEntryId                              = Tag(0x35E0_0000 | Tag(TypeBinary))
	PidTagIpmTaskEntryId                                 = Tag(0x36D4_0000 | Tag(TypeBinary))
	PidTagIpmWastebasketEntryId                          = Tag(0x35E3_0000 | Tag(TypeBinary))
	PidTagIsdnNumber                                     = Tag(0x3A2D_0000 | Tag(TypeString))
	PidTagJunkAddRecipientsToSafeSendersList             = Tag(0x6103_0000 | Tag(TypeInteger32))
	PidTagJunkIncludeContacts                            = Tag(0x6100_0000 | Tag(TypeInteger32))
	PidTagJunkPermanentlyDelete                          = Tag(0x6102_0000 | Tag(TypeInteger32))
	PidTagJunkPhishingEnableLinks                        = Tag(0x6107_0000 | Tag(TypeBoolean))
	PidTagJunkThreshold                                  = Tag(0x6101_0000 | Tag(TypeInteger32))
	PidTagKeyword                                        = Tag(0x3A0B_0000 | Tag(TypeString))
	PidTagLanguage                                       = Tag(0x3A0C_0000 | Tag(TypeString))
	PidTagLastModificationTime                           = Tag(0x3008_0000 | Tag(TypeTime))
	PidTagLastModifierEntryId                            = Tag(0x3FFB_0000 | Tag(TypeBinary))
	PidTagLastModifierName                               = Tag(0x3FFA_0000 | Tag(TypeString))
	PidTagLastVerbExecuted                               = Tag(0x1081_0000 | Tag(TypeInteger32))
	PidTagLastVerbExecutionTime                          = Tag(0x1082_0000 | Tag(TypeTime))
	PidTagListHelp                                       = Tag(0x1043_0000 | Tag(TypeString))
	PidTagListSubscribe                                  = Tag(0x1044_0000 | Tag(TypeString))
	PidTagListUnsubscribe                                = Tag(0x1045_0000 | Tag(TypeString))
	PidTagLocalCommitTime                                = Tag(0x6709_0000 | Tag(TypeTime))
	PidTagLocalCommitTimeMax                             = Tag(0x670A_0000 | Tag(TypeTime))
	PidTagLocaleId                                       = Tag(0x66A1_0000 | Tag(TypeInteger32))
	PidTagLocality                                       = Tag(0x3A27_0000 | Tag(TypeString))
	PidTagLocation                                       = Tag(0x3A0D_0000 | Tag(TypeString))
	PidTagMailboxOwnerEntryId                            = Tag(0x661B_0000 | Tag(TypeBinary))
	PidTagMailboxOwnerName                               = Tag(0x661C_0000 | Tag(TypeString))
	PidTagManagerName                                    = Tag(0x3A4E_0000 | Tag(TypeString))
	PidTagMappingSignature                               = Tag(0x0FF8_0000 | Tag(TypeBinary))
	PidTagMaximumSubmitMessageSize                       = Tag(0x666D_0000 | Tag(TypeInteger32))
	PidTagMemberId                                       = Tag(0x6671_0000 | Tag(TypeInteger64))
	PidTagMemberName                                     = Tag(0x6672_0000 | Tag(TypeString))
	PidTagMemberRights                                   = Tag(0x6673_0000 | Tag(TypeInteger32))
	PidTagMessageAttachments                             = Tag(0x0E13_0000 | Tag(TypeObject))
	PidTagMessageCcMe                                    = Tag(0x0058_0000 | Tag(TypeBoolean))
	PidTagMessageClass                                   = Tag(0x001A_0000 | Tag(TypeString))
	PidTagMessageCodepage                                = Tag(0x3FFD_0000 | Tag(TypeInteger32))
	PidTagMessageDeliveryTime                            = Tag(0x0E06_0000 | Tag(TypeTime))
	PidTagMessageEditorFormat                            = Tag(0x5909_0000 | Tag(TypeInteger32))
	PidTagMessageFlags                                   = Tag(0x0E07_0000 | Tag(TypeInteger32))
	PidTagMessageHandlingSystemCommonName                = Tag(0x3A0F_0000 | Tag(TypeString))
	PidTagMessageLocaleId                                = Tag(0x3FF1_0000 | Tag(TypeInteger32))
	PidTagMessageRecipientMe                             = Tag(0x0059_0000 | Tag(TypeBoolean))
	PidTagMessageRecipients                              = Tag(0x0E12_0000 | Tag(TypeObject))
	PidTagMessageSize                                    = Tag(0x0E08_0000 | Tag(TypeInteger32))
	PidTagMessageSizeExtended                            = Tag(0x0E08_0000 | Tag(TypeInteger64))
	PidTagMessageStatus                                  = Tag(0x0E17_0000 | Tag(TypeInteger32))
	PidTagMessageSubmissionId                            = Tag(0x0047_0000 | Tag(TypeBinary))
	PidTagMessageToMe                                    = Tag(0x0057_0000 | Tag(TypeBoolean))
	PidTagMid                                            = Tag(0x674A_0000 | Tag(TypeInteger64))
	PidTagMiddleName                                     = Tag(0x3A44_0000 | Tag(TypeString))
	PidTagMimeSkeleton                                   = Tag(0x64F0_0000 | Tag(TypeBinary))
	PidTagMobileTelephoneNumber                          = Tag(0x3A1C_0000 | Tag(TypeString))
	PidTagNativeBody                                     = Tag(0x1016_0000 | Tag(TypeInteger32))
	PidTagNextSendAcct                                   = Tag(0x0E29_0000 | Tag(TypeString))
	PidTagNickname                                       = Tag(0x3A4F_0000 | Tag(TypeString))
	PidTagNonDeliveryReportDiagCode                      = Tag(0x0C05_0000 | Tag(TypeInteger32))
	PidTagNonDeliveryReportReasonCode                    = Tag(0x0C04_0000 | Tag(TypeInteger32))
	PidTagNonDeliveryReportStatusCode                    = Tag(0x0C20_0000 | Tag(TypeInteger32))
	PidTagNonReceiptNotificationRequested                = Tag(0x0C06_0000 | Tag(TypeBoolean))
	PidTagNormalMessageSize                              = Tag(0x66B3_0000 | Tag(TypeInteger32))
	PidTagNormalMessageSizeExtended                      = Tag(0x66B3_0000 | Tag(TypeInteger64))
	PidTagNormalizedSubject                              = Tag(0x0E1D_0000 | Tag(TypeString))
	PidTagObjectType                                     = Tag(0x0FFE_0000 | Tag(TypeInteger32))
	PidTagOfficeLocation                                 = Tag(0x3A19_0000 | Tag(TypeString))
	PidTagOrdinalMost                                    = Tag(0x36E2_0000 | Tag(TypeInteger32))
	PidTagOrganizationalIdNumber                         = Tag(0x3A10_0000 | Tag(TypeString))
	PidTagOriginalAuthorEntryId                          = Tag(0x004C_0000 | Tag(TypeBinary))
	PidTagOriginalAuthorName                             = Tag(0x004D_0000 | Tag(TypeString))
	PidTagOriginalDeliveryTime                           = Tag(0x0055_0000 | Tag(TypeTime))
	PidTagOriginalDisplayBcc                             = Tag(0x0072_0000 | Tag(TypeString))
	PidTagOriginalDisplayCc                              = Tag(0x0073_0000 | Tag(TypeString))
	PidTagOriginalDisplayTo                              = Tag(0x0074_0000 | Tag(TypeString))
	PidTagOriginalEntryId                                = Tag(0x3A12_0000 | Tag(TypeBinary))
	PidTagOriginalMessageClass                           = Tag(0x004B_0000 | Tag(TypeString))
	PidTagOriginalMessageId                              = Tag(0x1046_0000 | Tag(TypeString))
	PidTagOriginalSenderAddressType                      = Tag(0x0066_0000 | Tag(TypeString))
	PidTagOriginalSenderEmailAddress                     = Tag(0x0067_0000 | Tag(TypeString))
	PidTagOriginalSenderEntryId                          = Tag(0x005B_0000 | Tag(TypeBinary))
	PidTagOriginalSenderName                             = Tag(0x005A_0000 | Tag(TypeString))
	PidTagOriginalSenderSearchKey                        = Tag(0x005C_0000 | Tag(TypeBinary))
	PidTagOriginalSensitivity                            = Tag(0x002E_0000 | Tag(TypeInteger32))
	PidTagOriginalSentRepresentingAddressType            = Tag(0x0068_0000 | Tag(TypeString))
	PidTagOriginalSentRepresentingEmailAddress           = Tag(0x0069_0000 | Tag(TypeString))
	PidTagOriginalSentRepresentingEntryId                = Tag(0x005E_0000 | Tag(TypeBinary))
	PidTagOriginalSentRepresentingName                   = Tag(0x005D_0000 | Tag(TypeString))
	PidTagOriginalSentRepresentingSearchKey              = Tag(0x005F_0000 | Tag(TypeBinary))
	PidTagOriginalSubject                                = Tag(0x0049_0000 | Tag(TypeString))
	PidTagOriginalSubmitTime                             = Tag(0x004E_0000 | Tag(TypeTime))
	PidTagOriginatorDeliveryReportRequested              = Tag(0x0023_0000 | Tag(TypeBoolean))
	PidTagOriginatorNonDeliveryReportRequested           = Tag(0x0C08_0000 | Tag(TypeBoolean))
	PidTagOscSyncEnabled                                 = Tag(0x7C24_0000 | Tag(TypeBoolean))
	PidTagOtherAddressCity                               = Tag(0x3A5F_0000 | Tag(TypeString))
	PidTagOtherAddressCountry                            = Tag(0x3A60_0000 | Tag(TypeString))
	PidTagOtherAddressPostOfficeBox                      = Tag(0x3A64_0000 | Tag(TypeString))
	PidTagOtherAddressPostalCode                         = Tag(0x3A61_0000 | Tag(TypeString))
	PidTagOtherAddressStateOrProvince                    = Tag(0x3A62_0000 | Tag(TypeString))
	PidTagOtherAddressStreet                             = Tag(0x3A63_0000 | Tag(TypeString))
	PidTagOtherTelephoneNumber                           = Tag(0x3A1F_0000 | Tag(TypeString))
	PidTagOutOfOfficeState                               = Tag(0x661D_0000 | Tag(TypeBoolean))
	PidTagOwnerAppointmentId                             = Tag(0x0062_0000 | Tag(TypeInteger32))
	PidTagPagerTelephoneNumber                           = Tag(0x3A21_0000 | Tag(TypeString))
	PidTagParentEntryId                                  = Tag(0x0E09_0000 | Tag(TypeBinary))
	PidTagParentFolderId                                 = Tag(0x6749_0000 | Tag(TypeInteger64))
	PidTagParentKey                                      = Tag(0x0025_0000 | Tag(TypeBinary))
	PidTagParentSourceKey                                = Tag(0x65E1_0000 | Tag(TypeBinary))
	PidTagPersonalHomePage                               = Tag(0x3A50_0000 | Tag(TypeString))
	PidTagPolicyTag                                      = Tag(0x3019_0000 | Tag(TypeBinary))
	PidTagPostOfficeBox                                  = Tag(0x3A2B_0000 | Tag(TypeString))
	PidTagPostalAddress                                  = Tag(0x3A15_0000 | Tag(TypeString))
	PidTagPostalCode                                     = Tag(0x3A2A_0000 | Tag(TypeString))
	PidTagPredecessorChangeList                          = Tag(0x65E3_0000 | Tag(TypeBinary))
	PidTagPrimaryFaxNumber                               = Tag(0x3A23_0000 | Tag(TypeString))
	PidTagPrimarySendAccount                             = Tag(0x0E28_0000 | Tag(TypeString))
	PidTagPrimaryTelephoneNumber                         = Tag(0x3A1A_0000 | Tag(TypeString))
	PidTagPriority                                       = Tag(0x0026_0000 | Tag(TypeInteger32))
	PidTagProcessed                                      = Tag(0x7D01_0000 | Tag(TypeBoolean))
	PidTagProfession                                     = Tag(0x3A46_0000 | Tag(TypeString))
	PidTagProhibitReceiveQuota                           = Tag(0x666A_0000 | Tag(TypeInteger32))
	PidTagProhibitSendQuota                              = Tag(0x666E_0000 | Tag(TypeInteger32))
	PidTagPurportedSenderDomain                          = Tag(0x4083_0000 | Tag(TypeString))
	PidTagRadioTelephoneNumber                           = Tag(0x3A1D_0000 | Tag(TypeString))
	PidTagRead                                           = Tag(0x0E69_0000 | Tag(TypeBoolean))
	PidTagReadReceiptAddressType                         = Tag(0x4029_0000 | Tag(TypeString))
	PidTagReadReceiptEmailAddress                        = Tag(0x402A_0000 | Tag(TypeString))
	PidTagReadReceiptEntryId                             = Tag(0x0046_0000 | Tag(TypeBinary))
	PidTagReadReceiptName                                = Tag(0x402B_0000 | Tag(TypeString))
	PidTagReadReceiptRequested                           = Tag(0x0029_0000 | Tag(TypeBoolean))
	PidTagReadReceiptSearchKey                           = Tag(0x0053_0000 | Tag(TypeBinary))
	PidTagReadReceiptSmtpAddress                         = Tag(0x5D05_0000 | Tag(TypeString))
	PidTagReceiptTime                                    = Tag(0x002A_0000 | Tag(TypeTime))
	PidTagReceivedByAddressType                          = Tag(0x0075_0000 | Tag(TypeString))
	PidTagReceivedByEmailAddress                         = Tag(0x0076_0000 | Tag(TypeString))
	PidTagReceivedByEntryId                              = Tag(0x003F_0000 | Tag(TypeBinary))
	PidTagReceivedByName                                 = Tag(0x0040_0000 | Tag(TypeString))
	PidTagReceivedBySearchKey                            = Tag(0x0051_0000 | Tag(TypeBinary))
	PidTagReceivedBySmtpAddress                          = Tag(0x5D07_0000 | Tag(TypeString))
	PidTagReceivedRepresentingAddressType                = Tag(0x0077_0000 | Tag(TypeString))
	PidTagReceivedRepresentingEmailAddress               = Tag(0x0078_0000 | Tag(TypeString))
	PidTagReceivedRepresentingEntryId                    = Tag(0x0043_0000 | Tag(TypeBinary))
	PidTagReceivedRepresentingName                       = Tag(0x0044_0000 | Tag(TypeString))
	PidTagReceivedRepresentingSearchKey                  = Tag(0x0052_0000 | Tag(TypeBinary))
	PidTagReceivedRepresentingSmtpAddress                = Tag(0x5D08_0000 | Tag(TypeString))
	PidTagRecipientDisplayName                           = Tag(0x5FF6_0000 | Tag(TypeString))
	PidTagRecipientEntryId                               = Tag(0x5FF7_0000 | Tag(TypeBinary))
	PidTagRecipientFlags                                 = Tag(0x5FFD_0000 | Tag(TypeInteger32))
	PidTagRecipientOrder                                 = Tag(0x5FDF_0000 | Tag(TypeInteger32))
	PidTagRecipientProposed                              = Tag(0x5FE1_0000 | Tag(TypeBoolean))
	PidTagRecipientProposedEndTime                       = Tag(0x5FE4_0000 | Tag(TypeTime))
	PidTagRecipientProposedStartTime                     = Tag(0x5FE3_0000 | Tag(TypeTime))
	PidTagRecipientReassignmentProhibited                = Tag(0x002B_0000 | Tag(TypeBoolean))
	PidTagRecipientTrackStatus                           = Tag(0x5FFF_0000 | Tag(TypeInteger32))
	PidTagRecipientTrackStatusTime                       = Tag(0x5FFB_0000 | Tag(TypeTime))
	PidTagRecipientType                                  = Tag(0x0C15_0000 | Tag(TypeInteger32))
	PidTagRecordKey                                      = Tag(0x0FF9_0000 | Tag(TypeBinary))
	PidTagReferredByName                                 = Tag(0x3A47_0000 | Tag(TypeString))
	PidTagRemindersOnlineEntryId                         = Tag(0x36D5_0000 | Tag(TypeBinary))
	PidTagRemoteMessageTransferAgent                     = Tag(0x0C21_0000 | Tag(TypeString))
	PidTagRenderingPosition                              = Tag(0x370B_0000 | Tag(TypeInteger32))
	PidTagReplyRecipientEntries                          = Tag(0x004F_0000 | Tag(TypeBinary))
	PidTagReplyRecipientNames                            = Tag(0x0050_0000 | Tag(TypeString))
	PidTagReplyRequested                                 = Tag(0x0C17_0000 | Tag(TypeBoolean))
	PidTagReplyTemplateId                                = Tag(0x65C2_0000 | Tag(TypeBinary))
	PidTagReplyTime                                      = Tag(0x0030_0000 | Tag(TypeTime))
	PidTagReportDisposition                              = Tag(0x0080_0000 | Tag(TypeString))
	PidTagReportDispositionMode                          = Tag(0x0081_0000 | Tag(TypeString))
	PidTagReportEntryId                                  = Tag(0x0045_0000 | Tag(TypeBinary))
	PidTagReportName                                     = Tag(0x003A_0000 | Tag(TypeString))
	PidTagReportSearchKey                                = Tag(0x0054_0000 | Tag(TypeBinary))
	PidTagReportTag                                      = Tag(0x0031_0000 | Tag(TypeBinary))
	PidTagReportText                                     = Tag(0x1001_0000 | Tag(TypeString))
	PidTagReportTime                                     = Tag(0x0032_0000 | Tag(TypeTime))
	PidTagReportingMessageTransferAgent                  = Tag(0x6820_0000 | Tag(TypeString))
	PidTagResolveMethod                                  = Tag(0x3FE7_0000 | Tag(TypeInteger32))
	PidTagResponseRequested                              = Tag(0x0063_0000 | Tag(TypeBoolean))
	PidTagResponsibility                                 = Tag(0x0E0F_0000 | Tag(TypeBoolean))
	PidTagRetentionDate                                  = Tag(0x301C_0000 | Tag(TypeTime))
	PidTagRetentionFlags                                 = Tag(0x301D_0000 | Tag(TypeInteger32))
	PidTagRetentionPeriod                                = Tag(0x301A_0000 | Tag(TypeInteger32))
	PidTagRights                                         = Tag(0x6639_0000 | Tag(TypeInteger32))
	PidTagRoamingDatatypes                               = Tag(0x7C06_0000 | Tag(TypeInteger32))
	PidTagRoamingDictionary                              = Tag(0x7C07_0000 | Tag(TypeBinary))
	PidTagRoamingXmlStream                               = Tag(0x7C08_0000 | Tag(TypeBinary))
	PidTagRowType                                        = Tag(0x0FF5_0000 | Tag(TypeInteger32))
	PidTagRowid                                          = Tag(0x3000_0000 | Tag(TypeInteger32))
	PidTagRtfCompressed                                  = Tag(0x1009_0000 | Tag(TypeBinary))
	PidTagRtfInSync                                      = Tag(0x0E1F_0000 | Tag(TypeBoolean))
	PidTagRuleActionNumber                               = Tag(0x6650_0000 | Tag(TypeInteger32))
	PidTagRuleActionType                                 = Tag(0x6649_0000 | Tag(TypeInteger32))
	PidTagRuleActions                                    = Tag(0x6680_0000 | Tag(TypeRuleAction))
	PidTagRuleCondition                                  = Tag(0x6679_0000 | Tag(TypeRestriction))
	PidTagRuleError                                      = Tag(0x6648_0000 | Tag(TypeInteger32))
	PidTagRuleFolderEntryId                              = Tag(0x6651_0000 | Tag(TypeBinary))
	PidTagRuleId                                         = Tag(0x6674_0000 | Tag(TypeInteger64))
	PidTagRuleIds                                        = Tag(0x6675_0000 | Tag(TypeBinary))
	PidTagRuleLevel                                      = Tag(0x6683_0000 | Tag(TypeInteger32))
	PidTagRuleMessageLevel                               = Tag(0x65ED_0000 | Tag(TypeInteger32))
	PidTagRuleMessageName                                = Tag(0x65EC_0000 | Tag(TypeString))
	PidTagRuleMessageProvider                            = Tag(0x65EB_0000 | Tag(TypeString))
	PidTagRuleMessageProviderData                        = Tag(0x65EE_0000 | Tag(TypeBinary))
	PidTagRuleMessageSequence                            = Tag(0x65F3_0000 | Tag(TypeInteger32))
	PidTagRuleMessageState                               = Tag(0x65E9_0000 | Tag(TypeInteger32))
	PidTagRuleMessageUserFlags                           = Tag(0x65EA_0000 | Tag(TypeInteger32))
	PidTagRuleName                                       = Tag(0x6682_0000 | Tag(TypeString))
	PidTagRuleProvider                                   = Tag(0x6681_0000 | Tag(TypeString))
	PidTagRuleProviderData                               = Tag(0x6684_0000 | Tag(TypeBinary))
	PidTagRuleSequence                                   = Tag(0x6676_0000 | Tag(TypeInteger32))
	PidTagRuleState                                      = Tag(0x6677_0000 | Tag(TypeInteger32))
	PidTagRuleUserFlags                                  = Tag(0x6678_0000 | Tag(TypeInteger32))
	PidTagRwRulesStream                                  = Tag(0x6802_0000 | Tag(TypeBinary))
	PidTagScheduleInfoAppointmentTombstone               = Tag(0x686A_0000 | Tag(TypeBinary))
	PidTagScheduleInfoAutoAcceptAppointments             = Tag(0x686D_0000 | Tag(TypeBoolean))
	PidTagScheduleInfoDelegateEntryIds                   = Tag(0x6845_0000 | Tag(TypeMultiBinary))
	PidTagScheduleInfoDelegateNames                      = Tag(0x6844_0000 | Tag(TypeMultiString))
	PidTagScheduleInfoDelegateNamesW                     = Tag(0x684A_0000 | Tag(TypeMultiString))
	PidTagScheduleInfoDelegatorWantsCopy                 = Tag(0x6842_0000 | Tag(TypeBoolean))
	PidTagScheduleInfoDelegatorWantsInfo                 = Tag(0x684B_0000 | Tag(TypeBoolean))
	PidTagScheduleInfoDisallowOverlappingAppts           = Tag(0x686F_0000 | Tag(TypeBoolean))
	PidTagScheduleInfoDisallowRecurringAppts             = Tag(0x686E_0000 | Tag(TypeBoolean))
	PidTagScheduleInfoDontMailDelegates                  = Tag(0x6843_0000 | Tag(TypeBoolean))
	PidTagScheduleInfoFreeBusy                           = Tag(0x686C_0000 | Tag(TypeBinary))
	PidTagScheduleInfoFreeBusyAway                       = Tag(0x6856_0000 | Tag(TypeMultiBinary))
	PidTagScheduleInfoFreeBusyBusy                       = Tag(0x6854_0000 | Tag(TypeMultiBinary))
	PidTagScheduleInfoFreeBusyMerged                     = Tag(0x6850_0000 | Tag(TypeMultiBinary))
	PidTagScheduleInfoFreeBusyTentative                  = Tag(0x6852_0000 | Tag(TypeMultiBinary))
	PidTagScheduleInfoMonthsAway                         = Tag(0x6855_0000 | Tag(TypeMultiInteger32))
	PidTagScheduleInfoMonthsBusy                         = Tag(0x6853_0000 | Tag(TypeMultiInteger32))
	PidTagScheduleInfoMonthsMerged                       = Tag(0x684F_0000 | Tag(TypeMultiInteger32))
	PidTagScheduleInfoMonthsTentative                    = Tag(0x6851_0000 | Tag(TypeMultiInteger32))
	PidTagScheduleInfoResourceType                       = Tag(0x6841_0000 | Tag(TypeInteger32))
	PidTagSchedulePlusFreeBusyEntryId                    = Tag(0x6622_0000 | Tag(TypeBinary))
	PidTagScriptData                                     = Tag(0x0004_0000 | Tag(TypeBinary))
	PidTagSearchFolderDefinition                         = Tag(0x6845_0000 | Tag(TypeBinary))
	PidTagSearchFolderEfpFlags                           = Tag(0x6848_0000 | Tag(TypeInteger32))
	PidTagSearchFolderExpiration                         = Tag(0x683A_0000 | Tag(TypeInteger32))
	PidTagSearchFolderId                                 = Tag(0x6842_0000 | Tag(TypeBinary))
	PidTagSearchFolderLastUsed                           = Tag(0x6834_0000 | Tag(TypeInteger32))
	PidTagSearchFolderRecreateInfo                       = Tag(0x6844_0000 | Tag(TypeBinary))
	PidTagSearchFolderStorageType                        = Tag(0x6846_0000 | Tag(TypeInteger32))
	PidTagSearchFolderTag                                = Tag(0x6847_0000 | Tag(TypeInteger32))
	PidTagSearchFolderTemplateId                         = Tag(0x6841_0000 | Tag(TypeInteger32))
	PidTagSearchKey                                      = Tag(0x300B_0000 | Tag(TypeBinary))
	PidTagSecurityDescriptorAsXml                        = Tag(0x0E6A_0000 | Tag(TypeString))
	PidTagSelectable                                     = Tag(0x3609_0000 | Tag(TypeBoolean))
	PidTagSendInternetEncoding                           = Tag(0x3A71_0000 | Tag(TypeInteger32))
	PidTagSendRichInfo                                   = Tag(0x3A40_0000 | Tag(TypeBoolean))
	PidTagSenderAddressType                              = Tag(0x0C1E_0000 | Tag(TypeString))
	PidTagSenderEmailAddress                             = Tag(0x0C1F_0000 | Tag(TypeString))
	PidTagSenderEntryId                                  = Tag(0x0C19_0000 | Tag(TypeBinary))
	PidTagSenderIdStatus                                 = Tag(0x4079_0000 | Tag(TypeInteger32))
	PidTagSenderName                                     = Tag(0x0C1A_0000 | Tag(TypeString))
	PidTagSenderSearchKey                                = Tag(0x0C1D_0000 | Tag(TypeBinary))
	PidTagSenderSmtpAddress                              = Tag(0x5D01_0000 | Tag(TypeString))
	PidTagSensitivity                                    = Tag(0x0036_0000 | Tag(TypeInteger32))
	PidTagSentMailEntryId                                = Tag(0x0E0A_0000 | Tag(TypeBinary))
	PidTagSentMailSvrEID                                 = Tag(0x6740_0000 | Tag(TypeServerID))
	PidTagSentRepresentingAddressType                    = Tag(0x0064_0000 | Tag(TypeString))
	PidTagSentRepresentingEmailAddress                   = Tag(0x0065_0000 | Tag(TypeString))
	PidTagSentRepresentingEntryId                        = Tag(0x0041_0000 | Tag(TypeBinary))
	PidTagSentRepresentingFlags                          = Tag(0x401A_0000 | Tag(TypeInteger32))
	PidTagSentRepresentingName                           = Tag(0x0042_0000 | Tag(TypeString))
	PidTagSentRepresentingSearchKey                      = Tag(0x003B_0000 | Tag(TypeBinary))
	PidTagSentRepresentingSmtpAddress                    = Tag(0x5D02_0000 | Tag(TypeString))
	PidTagSerializedReplidGuidMap                        = Tag(0x6638_0000 | Tag(TypeBinary))
	PidTagSmtpAddress                                    = Tag(0x39FE_0000 | Tag(TypeString))
	PidTagSortLocaleId                                   = Tag(0x6705_0000 | Tag(TypeInteger32))
	PidTagSourceKey                                      = Tag(0x65E0_0000 | Tag(TypeBinary))
	PidTagSpouseName                                     = Tag(0x3A48_0000 | Tag(TypeString))
	PidTagStartDate                                      = Tag(0x0060_0000 | Tag(TypeTime))
	PidTagStartDateEtc                                   = Tag(0x301B_0000 | Tag(TypeBinary))
	PidTagStateOrProvince                                = Tag(0x3A28_0000 | Tag(TypeString))
	PidTagStorageQuotaLimit                              = Tag(0x3FF5_0000 | Tag(TypeInteger32))
	PidTagStoreEntryId                                   = Tag(0x0FFB_0000 | Tag(TypeBinary))
	PidTagStoreRecordKey                                 = Tag(0x0FFA_0000 | Tag(TypeBinary))
	PidTagStoreState                                     = Tag(0x340E_0000 | Tag(TypeInteger32))
	PidTagStoreSupportMask                               = Tag(0x340D_0000 | Tag(TypeInteger32))
	PidTagStreetAddress                                  = Tag(0x3A29_0000 | Tag(TypeString))
	PidTagSubfolders                                     = Tag(0x360A_0000 | Tag(TypeBoolean))
	PidTagSubject                                        = Tag(0x0037_0000 | Tag(TypeString))
	PidTagSubjectPrefix                                  = Tag(0x003D_0000 | Tag(TypeString))
	PidTagSupplementaryInfo                              = Tag(0x0C1B_0000 | Tag(TypeString))
	PidTagSurname                                        = Tag(0x3A11_0000 | Tag(TypeString))
	PidTagSwappedToDoData                                = Tag(0x0E2D_0000 | Tag(TypeBinary))
	PidTagSwappedToDoStore                               = Tag(0x0E2C_0000 | Tag(TypeBinary))
	PidTagTargetEntryId                                  = Tag(0x3010_0000 | Tag(TypeBinary))
	PidTagTelecommunicationsDeviceForDeafTelephoneNumber = Tag(0x3A4B_0000 | Tag(TypeString))
	PidTagTelexNumber                                    = Tag(0x3A2C_0000 | Tag(TypeString))
	PidTagTemplateData                                   = Tag(0x0001_0000 | Tag(TypeBinary))
	PidTagTemplateid                                     = Tag(0x3902_0000 | Tag(TypeBinary))
	PidTagTextAttachmentCharset                          = Tag(0x371B_0000 | Tag(TypeString))
	PidTagTitle                                          = Tag(0x3A17_0000 | Tag(TypeString))
	PidTagTnefCorrelationKey                             = Tag(0x007F_0000 | Tag(TypeBinary))
	PidTagToDoItemFlags                                  = Tag(0x0E2B_0000 | Tag(TypeInteger32))
	PidTagTransmittableDisplayName                       = Tag(0x3A20_0000 | Tag(TypeString))
	PidTagTransportMessageHeaders                        = Tag(0x007D_0000 | Tag(TypeString))
	PidTagTrustSender                                    = Tag(0x0E79_0000 | Tag(TypeInteger32))
	PidTagUserCertificate                                = Tag(0x3A22_0000 | Tag(TypeBinary))
	PidTagUserEntryId                                    = Tag(0x6619_0000 | Tag(TypeBinary))
	PidTagUserX509Certificate                            = Tag(0x3A70_0000 | Tag(TypeMultiBinary))
	PidTagValidFolderMask                                = Tag(0x35DF_0000 | Tag(TypeInteger32))
	PidTagViewDescriptorBinary                           = Tag(0x7001_0000 | Tag(TypeBinary))
	PidTagViewDescriptorName                             = Tag(0x7006_0000 | Tag(TypeString))
	PidTagViewDescriptorStrings                          = Tag(0x7002_0000 | Tag(TypeString))
	PidTagViewDescriptorVersion                          = Tag(0x7007_0000 | Tag(TypeInteger32))
	PidTagViewsEntryId                                   = Tag(0x35E5_0000 | Tag(TypeBinary))
	PidTagWeddingAnniversary                             = Tag(0x3A41_0000 | Tag(TypeTime))
	PidTagWlinkAddressBookEID                            = Tag(0x6854_0000 | Tag(TypeBinary))
	PidTagWlinkAddressBookStoreEID                       = Tag(0x6891_0000 | Tag(TypeBinary))
	PidTagWlinkCalendarColor                             = Tag(0x6853_0000 | Tag(TypeInteger32))
	PidTagWlinkClientID                                  = Tag(0x6890_0000 | Tag(TypeBinary))
	PidTagWlinkEntryId                                   = Tag(0x684C_0000 | Tag(TypeBinary))
	PidTagWlinkFlags                                     = Tag(0x684A_0000 | Tag(TypeInteger32))
	PidTagWlinkFolderType                                = Tag(0x684F_0000 | Tag(TypeBinary))
	PidTagWlinkGroupClsid                                = Tag(0x6850_0000 | Tag(TypeBinary))
	PidTagWlinkGroupHeaderID                             = Tag(0x6842_0000 | Tag(TypeBinary))
	PidTagWlinkGroupName                                 = Tag(0x6851_0000 | Tag(TypeString))
	PidTagWlinkOrdinal                                   = Tag(0x684B_0000 | Tag(TypeBinary))
	PidTagWlinkROGroupType                               = Tag(0x6892_0000 | Tag(TypeInteger32))
	PidTagWlinkRecordKey                                 = Tag(0x684D_0000 | Tag(TypeBinary))
	PidTagWlinkSaveStamp                                 = Tag(0x6847_0000 | Tag(TypeInteger32))
	PidTagWlinkSection                                   = Tag(0x6852_0000 | Tag(TypeInteger32))
	PidTagWlinkStoreEntryId                              = Tag(0x684E_0000 | Tag(TypeBinary))
	PidTagWlinkType                                      = Tag(0x6849_0000 | Tag(TypeInteger32))
)

// Named properties (MS-OXPROPS 2).
var (
	PidLidAddressBookProviderArrayType              = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8029}, TypeInteger32}
	PidLidAddressBookProviderEmailList              = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8028}, TypeMultiInteger32}
	PidLidAddressCountryCode                        = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80DD}, TypeString}
	PidLidAgingDontAgeMe                            = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x850E}, TypeBoolean}
	PidLidAllAttendeesString                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8238}, TypeString}
	PidLidAllowExternalCheck                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8246}, TypeBoolean}
	PidLidAnniversaryEventEntryId                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x804E}, TypeBinary}
	PidLidAppointmentAuxiliaryFlags                 = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8207}, TypeInteger32}
	PidLidAppointmentColor                          = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8214}, TypeInteger32}
	PidLidAppointmentCounterProposal                = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8257}, TypeBoolean}
	PidLidAppointmentDuration                       = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8213}, TypeInteger32}
	PidLidAppointmentEndDate                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8211}, TypeTime}
	PidLidAppointmentEndTime                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8210}, TypeTime}
	PidLidAppointmentEndWhole                       = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x820E}, TypeTime}
	PidLidAppointmentLastSequence                   = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8203}, TypeInteger32}
	PidLidAppointmentMessageClass                   = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0024}, TypeString}
	PidLidAppointmentNotAllowPropose                = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x825A}, TypeBoolean}
	PidLidAppointmentProposalNumber                 = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8259}, TypeInteger32}
	PidLidAppointmentProposedDuration               = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8256}, TypeInteger32}
	PidLidAppointmentProposedEndWhole               = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8251}, TypeTime}
	PidLidAppointmentProposedStartWhole             = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8250}, TypeTime}
	PidLidAppointmentRecur                          = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8216}, TypeBinary}
	PidLidAppointmentReplyName                      = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8230}, TypeString}
	PidLidAppointmentReplyTime                      = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8220}, TypeTime}
	PidLidAppointmentSequence                       = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8201}, TypeInteger32}
	PidLidAppointmentSequenceTime                   = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8202}, TypeTime}
	PidLidAppointmentStartDate                      = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8212}, TypeTime}
	PidLidAppointmentStartTime                      = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x820F}, TypeTime}
	PidLidAppointmentStartWhole                     = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x820D}, TypeTime}
	PidLidAppointmentStateFlags                     = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8217}, TypeInteger32}
	PidLidAppointmentSubType                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8215}, TypeBoolean}
	PidLidAppointmentTimeZoneDefinitionEndDisplay   = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x825F}, TypeBinary}
	PidLidAppointmentTimeZoneDefinitionRecur        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8260}, TypeBinary}
	PidLidAppointmentTimeZoneDefinitionStartDisplay = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x825E}, TypeBinary}
	PidLidAppointmentUnsendableRecipients           = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x825D}, TypeBinary}
	PidLidAppointmentUpdateTime                     = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8226}, TypeTime}
	PidLidAttendeeCriticalChange                    = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0001}, TypeTime}
	PidLidAutoFillLocation                          = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x823A}, TypeBoolean}
	PidLidAutoLog                                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8025}, TypeBoolean}
	PidLidAutoProcessState                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x851A}, TypeInteger32}
	PidLidAutoStartCheck                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8244}, TypeBoolean}
	PidLidBilling                                   = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8535}, TypeString}
	PidLidBirthdayEventEntryId                      = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x804D}, TypeBinary}
	PidLidBirthdayLocal                             = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80DE}, TypeTime}
	PidLidBusinessCardCardPicture                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8041}, TypeBinary}
	PidLidBusinessCardDisplayDefinition             = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8040}, TypeBinary}
	PidLidBusyStatus                                = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8205}, TypeInteger32}
	PidLidCalendarType                              = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x001C}, TypeInteger32}
	PidLidCategories                                = NamedProperty{PropertyName{Set: PSPublicStrings, Kind: NameByLID, LID: 0x9000}, TypeMultiString}
	PidLidCcAttendeesString                         = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x823C}, TypeString}
	PidLidChangeHighlight                           = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8204}, TypeInteger32}
	PidLidClassification                            = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85B6}, TypeString}
	PidLidClassificationDescription                 = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85B7}, TypeString}
	PidLidClassificationGuid                        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85B8}, TypeString}
	PidLidClassificationKeep                        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85BA}, TypeBoolean}
	PidLidClassified                                = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85B5}, TypeBoolean}
	PidLidCleanGlobalObjectId                       = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0023}, TypeBinary}
	PidLidClientIntent                              = NamedProperty{PropertyName{Set: PSETIDCalendarAssistant, Kind: NameByLID, LID: 0x0015}, TypeInteger32}
	PidLidClipEnd                                   = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8236}, TypeTime}
	PidLidClipStart                                 = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8235}, TypeTime}
	PidLidCollaborateDoc                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8247}, TypeString}
	PidLidCommonEnd                                 = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8517}, TypeTime}
	PidLidCommonStart                               = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8516}, TypeTime}
	PidLidCompanies                                 = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8539}, TypeMultiString}
	PidLidConferencingCheck                         = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8240}, TypeBoolean}
	PidLidConferencingType                          = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8241}, TypeInteger32}
	PidLidContactCharacterSet                       = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8023}, TypeInteger32}
	PidLidContactItemData                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8007}, TypeMultiInteger32}
	PidLidContactLinkEntry                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8585}, TypeBinary}
	PidLidContactLinkGlobalAddressListLinkId        = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80E8}, TypeGUID}
	PidLidContactLinkGlobalAddressListLinkState     = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80E6}, TypeInteger32}
	PidLidContactLinkLinkRejectHistory              = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80E5}, TypeMultiBinary}
	PidLidContactLinkName                           = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8586}, TypeString}
	PidLidContactLinkSMTPAddressCache               = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80E3}, TypeMultiString}
	PidLidContactLinkSearchKey                      = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8584}, TypeBinary}
	PidLidContactLinkedGlobalAddressListEntryId     = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80E2}, TypeBinary}
	PidLidContactUserField1                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x804F}, TypeString}
	PidLidContactUserField2                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8050}, TypeString}
	PidLidContactUserField3                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8051}, TypeString}
	PidLidContactUserField4                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8052}, TypeString}
	PidLidContacts                                  = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x853A}, TypeMultiString}
	PidLidConversationActionLastAppliedTime         = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85CA}, TypeTime}
	PidLidConversationActionMaxDeliveryTime         = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85C8}, TypeTime}
	PidLidConversationActionMoveFolderEid           = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85C6}, TypeBinary}
	PidLidConversationActionMoveStoreEid            = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85C7}, TypeBinary}
	PidLidConversationActionVersion                 = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85CB}, TypeInteger32}
	PidLidConversationProcessed                     = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85C9}, TypeInteger32}
	PidLidCurrentVersion                            = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8552}, TypeInteger32}
	PidLidCurrentVersionName                        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8554}, TypeString}
	PidLidDayInterval                               = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0011}, TypeInteger16}
	PidLidDayOfMonth                                = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x1000}, TypeInteger32}
	PidLidDelegateMail                              = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0009}, TypeBoolean}
	PidLidDepartment                                = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8010}, TypeString}
	PidLidDirectory                                 = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8242}, TypeString}
	PidLidDistributionListChecksum                  = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x804C}, TypeInteger32}
	PidLidDistributionListMembers                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8055}, TypeMultiBinary}
	PidLidDistributionListName                      = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8053}, TypeString}
	PidLidDistributionListOneOffMembers             = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8054}, TypeMultiBinary}
	PidLidDistributionListStream                    = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8064}, TypeBinary}
	PidLidEmail1AddressType                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8082}, TypeString}
	PidLidEmail1DisplayName                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8080}, TypeString}
	PidLidEmail1EmailAddress                        = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8083}, TypeString}
	PidLidEmail1OriginalDisplayName                 = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8084}, TypeString}
	PidLidEmail1OriginalEntryId                     = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8085}, TypeBinary}
	PidLidEmail2AddressType                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8092}, TypeString}
	PidLidEmail2DisplayName                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8090}, TypeString}
	PidLidEmail2EmailAddress                        = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8093}, TypeString}
	PidLidEmail2OriginalDisplayName                 = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8094}, TypeString}
	PidLidEmail2OriginalEntryId                     = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8095}, TypeBinary}
	PidLidEmail3AddressType                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80A2}, TypeString}
	PidLidEmail3DisplayName                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80A0}, TypeString}
	PidLidEmail3EmailAddress                        = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80A3}, TypeString}
	PidLidEmail3OriginalDisplayName                 = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80A4}, TypeString}
	PidLidEmail3OriginalEntryId                     = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80A5}, TypeBinary}
	PidLidEndRecurrenceDate                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x000F}, TypeInteger32}
	PidLidEndRecurrenceTime                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0010}, TypeInteger32}
	PidLidExceptionReplaceTime                      = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8228}, TypeTime}
	PidLidFExceptionalAttendees                     = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x822B}, TypeBoolean}
	PidLidFExceptionalBody                          = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8206}, TypeBoolean}
	PidLidFInvited                                  = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8229}, TypeBoolean}
	PidLidFOthersAppointment                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x822F}, TypeBoolean}
	PidLidFax1AddressType                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80B2}, TypeString}
	PidLidFax1EmailAddress                          = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80B3}, TypeString}
	PidLidFax1OriginalDisplayName                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80B4}, TypeString}
	PidLidFax1OriginalEntryId                       = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80B5}, TypeBinary}
	PidLidFax2AddressType                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80C2}, TypeString}
	PidLidFax2EmailAddress                          = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80C3}, TypeString}
	PidLidFax2OriginalDisplayName                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80C4}, TypeString}
	PidLidFax2OriginalEntryId                       = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80C5}, TypeBinary}
	PidLidFax3AddressType                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80D2}, TypeString}
	PidLidFax3EmailAddress                          = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80D3}, TypeString}
	PidLidFax3OriginalDisplayName                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80D4}, TypeString}
	PidLidFax3OriginalEntryId                       = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80D5}, TypeBinary}
	PidLidFileUnder                                 = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8005}, TypeString}
	PidLidFileUnderId                               = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8006}, TypeInteger32}
	PidLidFileUnderList                             = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8026}, TypeMultiInteger32}
	PidLidFlagRequest                               = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8530}, TypeString}
	PidLidFlagString                                = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85C0}, TypeInteger32}
	PidLidForwardInstance                           = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x820A}, TypeBoolean}
	PidLidForwardNotificationRecipients             = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8261}, TypeBinary}
	PidLidFreeBusyLocation                          = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80D8}, TypeString}
	PidLidGlobalObjectId                            = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0003}, TypeBinary}
	PidLidHasPicture                                = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8015}, TypeBoolean}
	PidLidHomeAddress                               = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x801A}, TypeString}
	PidLidHomeAddressCountryCode                    = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80DA}, TypeString}
	PidLidHtml                                      = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x802B}, TypeString}
	PidLidICalendarDayOfWeekMask                    = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x1001}, TypeInteger32}
	PidLidInboundICalStream                         = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x827A}, TypeBinary}
	PidLidInfoPathFormName                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85B1}, TypeString}
	PidLidInstantMessagingAddress                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8062}, TypeString}
	PidLidIntendedBusyStatus                        = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8224}, TypeInteger32}
	PidLidInternetAccountName                       = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8580}, TypeString}
	PidLidInternetAccountStamp                      = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8581}, TypeString}
	PidLidIsContactLinked                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80E0}, TypeBoolean}
	PidLidIsException                               = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x000A}, TypeBoolean}
	PidLidIsRecurring                               = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0005}, TypeBoolean}
	PidLidIsSilent                                  = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0004}, TypeBoolean}
	PidLidLinkedTaskItems                           = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x820C}, TypeMultiBinary}
	PidLidLocation                                  = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8208}, TypeString}
	PidLidLogDocumentPosted                         = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8711}, TypeBoolean}
	PidLidLogDocumentPrinted                        = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x870E}, TypeBoolean}
	PidLidLogDocumentRouted                         = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8710}, TypeBoolean}
	PidLidLogDocumentSaved                          = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x870F}, TypeBoolean}
	PidLidLogDuration                               = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8707}, TypeInteger32}
	PidLidLogEnd                                    = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8708}, TypeTime}
	PidLidLogFlags                                  = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x870C}, TypeInteger32}
	PidLidLogStart                                  = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8706}, TypeTime}
	PidLidLogType                                   = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8700}, TypeString}
	PidLidLogTypeDesc                               = NamedProperty{PropertyName{Set: PSETIDLog, Kind: NameByLID, LID: 0x8712}, TypeString}
	PidLidMeetingType                               = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0026}, TypeInteger32}
	PidLidMeetingWorkspaceUrl                       = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8209}, TypeString}
	PidLidMonthInterval                             = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0013}, TypeInteger16}
	PidLidMonthOfYear                               = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x1006}, TypeInteger32}
	PidLidMonthOfYearMask                           = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0017}, TypeInteger32}
	PidLidNetShowUrl                                = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8248}, TypeString}
	PidLidNoEndDateFlag                             = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x100B}, TypeBoolean}
	PidLidNonSendBccTrackStatus                     = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8545}, TypeMultiInteger32}
	PidLidNonSendCcTrackStatus                      = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8544}, TypeMultiInteger32}
	PidLidNonSendToTrackStatus                      = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8543}, TypeMultiInteger32}
	PidLidNonSendableBcc                            = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8538}, TypeString}
	PidLidNonSendableCc                             = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8537}, TypeString}
	PidLidNonSendableTo                             = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8536}, TypeString}
	PidLidNoteColor                                 = NamedProperty{PropertyName{Set: PSETIDNote, Kind: NameByLID, LID: 0x8B00}, TypeInteger32}
	PidLidNoteHeight                                = NamedProperty{PropertyName{Set: PSETIDNote, Kind: NameByLID, LID: 0x8B03}, TypeInteger32}
	PidLidNoteWidth                                 = NamedProperty{PropertyName{Set: PSETIDNote, Kind: NameByLID, LID: 0x8B02}, TypeInteger32}
	PidLidNoteX                                     = NamedProperty{PropertyName{Set: PSETIDNote, Kind: NameByLID, LID: 0x8B04}, TypeInteger32}
	PidLidNoteY                                     = NamedProperty{PropertyName{Set: PSETIDNote, Kind: NameByLID, LID: 0x8B05}, TypeInteger32}
	PidLidOccurrences                               = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x1005}, TypeInteger32}
	PidLidOldLocation                               = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0028}, TypeString}
	PidLidOldRecurrenceType                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0018}, TypeInteger16}
	PidLidOldWhenEndWhole                           = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x002A}, TypeTime}
	PidLidOldWhenStartWhole                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0029}, TypeTime}
	PidLidOnlinePassword                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8249}, TypeString}
	PidLidOptionalAttendees                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0007}, TypeString}
	PidLidOrganizerAlias                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8243}, TypeString}
	PidLidOriginalStoreEntryId                      = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8237}, TypeBinary}
	PidLidOtherAddress                              = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x801C}, TypeString}
	PidLidOtherAddressCountryCode                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80DC}, TypeString}
	PidLidOwnerCriticalChange                       = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x001A}, TypeTime}
	PidLidOwnerName                                 = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x822E}, TypeString}
	PidLidPendingStateForSiteMailboxDocument        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85E0}, TypeInteger32}
	PidLidPercentComplete                           = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8102}, TypeFloating64}
	PidLidPostalAddressId                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8022}, TypeInteger32}
	PidLidPrivate                                   = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8506}, TypeBoolean}
	PidLidPromptSendUpdate                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8045}, TypeBoolean}
	PidLidRecurrenceDuration                        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x100D}, TypeInteger32}
	PidLidRecurrencePattern                         = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8232}, TypeString}
	PidLidRecurrenceType                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8231}, TypeInteger32}
	PidLidRecurring                                 = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8223}, TypeBoolean}
	PidLidReferenceEntryId                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85BD}, TypeBinary}
	PidLidReferredBy                                = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x800E}, TypeString}
	PidLidReminderDelta                             = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8501}, TypeInteger32}
	PidLidReminderFileParameter                     = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x851F}, TypeString}
	PidLidReminderOverride                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x851C}, TypeBoolean}
	PidLidReminderPlaySound                         = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x851E}, TypeBoolean}
	PidLidReminderSet                               = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8503}, TypeBoolean}
	PidLidReminderSignalTime                        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8560}, TypeTime}
	PidLidReminderTime                              = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8502}, TypeTime}
	PidLidReminderTimeDate                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8505}, TypeTime}
	PidLidReminderTimeTime                          = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8504}, TypeTime}
	PidLidReminderType                              = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x851D}, TypeInteger32}
	PidLidRemoteStatus                              = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8511}, TypeInteger32}
	PidLidRequiredAttendees                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0006}, TypeString}
	PidLidResourceAttendees                         = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0008}, TypeString}
	PidLidResponseStatus                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8218}, TypeInteger32}
	PidLidServerProcessed                           = NamedProperty{PropertyName{Set: PSETIDCalendarAssistant, Kind: NameByLID, LID: 0x85CC}, TypeBoolean}
	PidLidServerProcessingActions                   = NamedProperty{PropertyName{Set: PSETIDCalendarAssistant, Kind: NameByLID, LID: 0x85CD}, TypeInteger32}
	PidLidSideEffects                               = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8510}, TypeInteger32}
	PidLidSingleBodyICal                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x827B}, TypeBoolean}
	PidLidSmartNoAttach                             = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8514}, TypeBoolean}
	PidLidSpamOriginalFolder                        = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x859C}, TypeBinary}
	PidLidStartRecurrenceDate                       = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x000D}, TypeInteger32}
	PidLidStartRecurrenceTime                       = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x000E}, TypeInteger32}
	PidLidTaskAcceptanceState                       = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x812A}, TypeInteger32}
	PidLidTaskAccepted                              = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8108}, TypeBoolean}
	PidLidTaskActualEffort                          = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8110}, TypeInteger32}
	PidLidTaskAssigner                              = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8121}, TypeString}
	PidLidTaskAssigners                             = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8117}, TypeBinary}
	PidLidTaskComplete                              = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x811C}, TypeBoolean}
	PidLidTaskCustomFlags                           = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8139}, TypeInteger32}
	PidLidTaskDateCompleted                         = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x810F}, TypeTime}
	PidLidTaskDeadOccurrence                        = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8109}, TypeBoolean}
	PidLidTaskDueDate                               = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8105}, TypeTime}
	PidLidTaskEstimatedEffort                       = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8111}, TypeInteger32}
	PidLidTaskFCreator                              = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x811E}, TypeBoolean}
	PidLidTaskFFixOffline                           = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x812C}, TypeBoolean}
	PidLidTaskFRecurring                            = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8126}, TypeBoolean}
	PidLidTaskGlobalId                              = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8519}, TypeBinary}
	PidLidTaskHistory                               = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x811A}, TypeInteger32}
	PidLidTaskLastDelegate                          = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8125}, TypeString}
	PidLidTaskLastUpdate                            = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8115}, TypeTime}
	PidLidTaskLastUser                              = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8122}, TypeString}
	PidLidTaskMode                                  = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8518}, TypeInteger32}
	PidLidTaskMultipleRecipients                    = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8120}, TypeInteger32}
	PidLidTaskNoCompute                             = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8124}, TypeBoolean}
	PidLidTaskOrdinal                               = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8123}, TypeInteger32}
	PidLidTaskOwner                                 = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x811F}, TypeString}
	PidLidTaskOwnership                             = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8129}, TypeInteger32}
	PidLidTaskRecurrence                            = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8116}, TypeBinary}
	PidLidTaskResetReminder                         = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8107}, TypeBoolean}
	PidLidTaskRole                                  = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8127}, TypeString}
	PidLidTaskStartDate                             = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8104}, TypeTime}
	PidLidTaskState                                 = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8113}, TypeInteger32}
	PidLidTaskStatus                                = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8101}, TypeInteger32}
	PidLidTaskStatusOnComplete                      = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8119}, TypeBoolean}
	PidLidTaskUpdates                               = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x811B}, TypeBoolean}
	PidLidTaskVersion                               = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8112}, TypeInteger32}
	PidLidTeamTask                                  = NamedProperty{PropertyName{Set: PSETIDTask, Kind: NameByLID, LID: 0x8103}, TypeBoolean}
	PidLidTimeZone                                  = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x000C}, TypeInteger32}
	PidLidTimeZoneDescription                       = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8234}, TypeString}
	PidLidTimeZoneStruct                            = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x8233}, TypeBinary}
	PidLidToAttendeesString                         = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x823B}, TypeString}
	PidLidToDoOrdinalDate                           = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85A0}, TypeTime}
	PidLidToDoSubOrdinal                            = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85A1}, TypeString}
	PidLidToDoTitle                                 = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85A4}, TypeString}
	PidLidTrustRecipientHighlights                  = NamedProperty{PropertyName{Set: PSETIDAppointment, Kind: NameByLID, LID: 0x823E}, TypeBoolean}
	PidLidUseTnef                                   = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8582}, TypeBoolean}
	PidLidValidFlagStringProof                      = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x85BF}, TypeTime}
	PidLidVerbResponse                              = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8524}, TypeString}
	PidLidVerbStream                                = NamedProperty{PropertyName{Set: PSETIDCommon, Kind: NameByLID, LID: 0x8520}, TypeBinary}
	PidLidWeddingAnniversaryLocal                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80DF}, TypeTime}
	PidLidWeekInterval                              = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0012}, TypeInteger16}
	PidLidWhere                                     = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0002}, TypeString}
	PidLidWorkAddress                               = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x801B}, TypeString}
	PidLidWorkAddressCity                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8046}, TypeString}
	PidLidWorkAddressCountry                        = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8049}, TypeString}
	PidLidWorkAddressCountryCode                    = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x80DB}, TypeString}
	PidLidWorkAddressPostOfficeBox                  = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x804A}, TypeString}
	PidLidWorkAddressPostalCode                     = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8048}, TypeString}
	PidLidWorkAddressState                          = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8047}, TypeString}
	PidLidWorkAddressStreet                         = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x8045}, TypeString}
	PidLidYearInterval                              = NamedProperty{PropertyName{Set: PSETIDMeeting, Kind: NameByLID, LID: 0x0014}, TypeInteger16}
	PidLidYomiCompanyName                           = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x802E}, TypeString}
	PidLidYomiFirstName                             = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x802C}, TypeString}
	PidLidYomiLastName                              = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByLID, LID: 0x802D}, TypeString}
	PidNameAcceptLanguage                           = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "Accept-Language"}, TypeString}
	PidNameAttachmentMacContentType                 = NamedProperty{PropertyName{Set: PSETIDAttachment, Kind: NameByString, Name: "AttachmentMacContentType"}, TypeString}
	PidNameAttachmentMacInfo                        = NamedProperty{PropertyName{Set: PSETIDAttachment, Kind: NameByString, Name: "AttachmentMacInfo"}, TypeBinary}
	PidNameAttachmentOriginalPermissionType         = NamedProperty{PropertyName{Set: PSETIDAttachment, Kind: NameByString, Name: "AttachmentOriginalPermissionType"}, TypeInteger32}
	PidNameAttachmentPermissionType                 = NamedProperty{PropertyName{Set: PSETIDAttachment, Kind: NameByString, Name: "AttachmentPermissionType"}, TypeInteger32}
	PidNameAttachmentProviderType                   = NamedProperty{PropertyName{Set: PSETIDAttachment, Kind: NameByString, Name: "AttachmentProviderType"}, TypeString}
	PidNameBirthdayContactAttributionDisplayName    = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByString, Name: "BirthdayContactAttributionDisplayName"}, TypeString}
	PidNameBirthdayContactEntryId                   = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByString, Name: "BirthdayContactEntryId"}, TypeBinary}
	PidNameBirthdayContactPersonGuid                = NamedProperty{PropertyName{Set: PSETIDAddress, Kind: NameByString, Name: "BirthdayContactPersonGuid"}, TypeBinary}
	PidNameContentBase                              = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "Content-Base"}, TypeString}
	PidNameContentClass                             = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "Content-Class"}, TypeString}
	PidNameContentType                              = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "Content-Type"}, TypeString}
	PidNameExchangeJunkEmailMoveStamp               = NamedProperty{PropertyName{Set: PSPublicStrings, Kind: NameByString, Name: "http://schemas.microsoft.com/exchange/junkemailmovestamp"}, TypeInteger32}
	PidNameKeywords                                 = NamedProperty{PropertyName{Set: PSPublicStrings, Kind: NameByString, Name: "Keywords"}, TypeMultiString}
	PidNamePhishingStamp                            = NamedProperty{PropertyName{Set: PSPublicStrings, Kind: NameByString, Name: "http://schemas.microsoft.com/outlook/phishingstamp"}, TypeInteger32}
	PidNameXCallId                                  = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-CallID"}, TypeString}
	PidNameXFaxNumberOfPages                        = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-FaxNumberOfPages"}, TypeInteger16}
	PidNameXMailer                                  = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Mailer"}, TypeString}
	PidNameXMessageCompleted                        = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Message-Completed"}, TypeString}
	PidNameXMessageFlag                             = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Message-Flag"}, TypeString}
	PidNameXRequireProtectedPlayOnPhone             = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-RequireProtectedPlayOnPhone"}, TypeBoolean}
	PidNameXSenderTelephoneNumber                   = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-CallingTelephoneNumber"}, TypeString}
	PidNameXSharingBrowseUrl                        = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Browse-Url"}, TypeString}
	PidNameXSharingCapabilities                     = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Capabilities"}, TypeString}
	PidNameXSharingConfigUrl                        = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Config-Url"}, TypeString}
	PidNameXSharingExendedCaps                      = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Exended-Caps"}, TypeString}
	PidNameXSharingFlavor                           = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Flavor"}, TypeString}
	PidNameXSharingInstanceGuid                     = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Instance-Guid"}, TypeString}
	PidNameXSharingLocalType                        = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Local-Type"}, TypeString}
	PidNameXSharingProviderGuid                     = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Provider-Guid"}, TypeString}
	PidNameXSharingProviderName                     = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Provider-Name"}, TypeString}
	PidNameXSharingProviderUrl                      = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Provider-Url"}, TypeString}
	PidNameXSharingRemoteName                       = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Remote-Name"}, TypeString}
	PidNameXSharingRemotePath                       = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Remote-Path"}, TypeString}
	PidNameXSharingRemoteStoreUid                   = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Remote-Store-Uid"}, TypeString}
	PidNameXSharingRemoteType                       = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Remote-Type"}, TypeString}
	PidNameXSharingRemoteUid                        = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Sharing-Remote-Uid"}, TypeString}
	PidNameXUnsent                                  = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-Unsent"}, TypeString}
	PidNameXVoiceMessageAttachmentOrder             = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-AttachmentOrder"}, TypeString}
	PidNameXVoiceMessageDuration                    = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-VoiceMessageDuration"}, TypeInteger16}
	PidNameXVoiceMessageSenderName                  = NamedProperty{PropertyName{Set: PSInternetHeaders, Kind: NameByString, Name: "X-VoiceMessageSenderName"}, TypeString}
)

var tagsByName = [...]knownTag{
	{"PidTagAccess", PidTagAccess},
	{"PidTagAccessControlListData", PidTagAccessControlListData},
	{"PidTagAccessLevel", PidTagAccessLevel},
	{"PidTagAccount", PidTagAccount},
	{"PidTagAdditionalRenEntryIds", PidTagAdditionalRenEntryIds},
	{"PidTagAdditionalRenEntryIdsEx", PidTagAdditionalRenEntryIdsEx},
	{"PidTagAddressBookDisplayNamePrintable", PidTagAddressBookDisplayNamePrintable},
	{"PidTagAddressBookEntryId", PidTagAddressBookEntryId},
	{"PidTagAddressBookManageDistributionList", PidTagAddressBookManageDistributionList},
	{"PidTagAddressBookMessageId", PidTagAddressBookMessageId},
	{"PidTagAddressBookRoomCapacity", PidTagAddressBookRoomCapacity},
	{"PidTagAddressBookRoomDescription", PidTagAddressBookRoomDescription},
	{"PidTagAddressType", PidTagAddressType},
	{"PidTagAlternateRecipientAllowed", PidTagAlternateRecipientAllowed},
	{"PidTagAnr", PidTagAnr},
	{"PidTagArchiveDate", PidTagArchiveDate},
	{"PidTagArchivePeriod", PidTagArchivePeriod},
	{"PidTagArchiveTag", PidTagArchiveTag},
	{"PidTagAssistant", PidTagAssistant},
	{"PidTagAssistantTelephoneNumber", PidTagAssistantTelephoneNumber},
	{"PidTagAssociated", PidTagAssociated},
	{"PidTagAssociatedContentCount", PidTagAssociatedContentCount},
	{"PidTagAssociatedMessageSize", PidTagAssociatedMessageSize},
	{"PidTagAssociatedMessageSizeExtended", PidTagAssociatedMessageSizeExtended},
	{"PidTagAttachAdditionalInformation", PidTagAttachAdditionalInformation},
	{"PidTagAttachContentBase", PidTagAttachContentBase},
	{"PidTagAttachContentId", PidTagAttachContentId},
	{"PidTagAttachContentLocation", PidTagAttachContentLocation},
	{"PidTagAttachDataBinary", PidTagAttachDataBinary},
	{"PidTagAttachDataObject", PidTagAttachDataObject},
	{"PidTagAttachEncoding", PidTagAttachEncoding},
	{"PidTagAttachExtension", PidTagAttachExtension},
	{"PidTagAttachFilename", PidTagAttachFilename},
	{"PidTagAttachFlags", PidTagAttachFlags},
	{"PidTagAttachLongFilename", PidTagAttachLongFilename},
	{"PidTagAttachLongPathname", PidTagAttachLongPathname},
	{"PidTagAttachMethod", PidTagAttachMethod},
	{"PidTagAttachMimeTag", PidTagAttachMimeTag},
	{"PidTagAttachNumber", PidTagAttachNumber},
	{"PidTagAttachPathname", PidTagAttachPathname},
	{"PidTagAttachPayloadClass", PidTagAttachPayloadClass},
	{"PidTagAttachPayloadProviderGuidString", PidTagAttachPayloadProviderGuidString},
	{"PidTagAttachRendering", PidTagAttachRendering},
	{"PidTagAttachSize", PidTagAttachSize},
	{"PidTagAttachTag", PidTagAttachTag},
	{"PidTagAttachTransportName", PidTagAttachTransportName},
	{"PidTagAttachmentContactPhoto", PidTagAttachmentContactPhoto},
	{"PidTagAttachmentFlags", PidTagAttachmentFlags},
	{"PidTagAttachmentHidden", PidTagAttachmentHidden},
	{"PidTagAttachmentLinkId", PidTagAttachmentLinkId},
	{"PidTagAttributeHidden", PidTagAttributeHidden},
	{"PidTagAttributeReadOnly", PidTagAttributeReadOnly},
	{"PidTagAutoForwardComment", PidTagAutoForwardComment},
	{"PidTagAutoForwarded", PidTagAutoForwarded},
	{"PidTagAutoResponseSuppress", PidTagAutoResponseSuppress},
	{"PidTagBirthday", PidTagBirthday},
	{"PidTagBlockStatus", PidTagBlockStatus},
	{"PidTagBody", PidTagBody},
	{"PidTagBodyContentId", PidTagBodyContentId},
	{"PidTagBodyContentLocation", PidTagBodyContentLocation},
	{"PidTagBodyHtml", PidTagBodyHtml},
	{"PidTagBusiness2TelephoneNumber", PidTagBusiness2TelephoneNumber},
	{"PidTagBusiness2TelephoneNumbers", PidTagBusiness2TelephoneNumbers},
	{"PidTagBusinessFaxNumber", PidTagBusinessFaxNumber},
	{"PidTagBusinessHomePage", PidTagBusinessHomePage},
	{"PidTagBusinessTelephoneNumber", PidTagBusinessTelephoneNumber},
	{"PidTagCallbackTelephoneNumber", PidTagCallbackTelephoneNumber},
	{"PidTagCarTelephoneNumber", PidTagCarTelephoneNumber},
	{"PidTagCdoRecurrenceid", PidTagCdoRecurrenceid},
	{"PidTagChangeKey", PidTagChangeKey},
	{"PidTagChangeNumber", PidTagChangeNumber},
	{"PidTagChildrensNames", PidTagChildrensNames},
	{"PidTagClientActions", PidTagClientActions},
	{"PidTagClientSubmitTime", PidTagClientSubmitTime},
	{"PidTagCodePageId", PidTagCodePageId},
	{"PidTagComment", PidTagComment},
	{"PidTagCommonViewsEntryId", PidTagCommonViewsEntryId},
	{"PidTagCompanyMainTelephoneNumber", PidTagCompanyMainTelephoneNumber},
	{"PidTagCompanyName", PidTagCompanyName},
	{"PidTagComputerNetworkName", PidTagComputerNetworkName},
	{"PidTagConflictEntryId", PidTagConflictEntryId},
	{"PidTagConflictItems", PidTagConflictItems},
	{"PidTagContainerClass", PidTagContainerClass},
	{"PidTagContainerContents", PidTagContainerContents},
	{"PidTagContainerFlags", PidTagContainerFlags},
	{"PidTagContainerHierarchy", PidTagContainerHierarchy},
	{"PidTagContentCount", PidTagContentCount},
	{"PidTagContentFilterSpamConfidenceLevel", PidTagContentFilterSpamConfidenceLevel},
	{"PidTagContentUnreadCount", PidTagContentUnreadCount},
	{"PidTagConversationId", PidTagConversationId},
	{"PidTagConversationIndex", PidTagConversationIndex},
	{"PidTagConversationIndexTracking", PidTagConversationIndexTracking},
	{"PidTagConversationTopic", PidTagConversationTopic},
	{"PidTagCountry", PidTagCountry},
	{"PidTagCreationTime", PidTagCreationTime},
	{"PidTagCreatorEntryId", PidTagCreatorEntryId},
	{"PidTagCreatorName", PidTagCreatorName},
	{"PidTagCustomerId", PidTagCustomerId},
	{"PidTagDamBackPatched", PidTagDamBackPatched},
	{"PidTagDamOriginalEntryId", PidTagDamOriginalEntryId},
	{"PidTagDefaultPostMessageClass", PidTagDefaultPostMessageClass},
	{"PidTagDeferredActionMessageOriginalEntryId", PidTagDeferredActionMessageOriginalEntryId},
	{"PidTagDeferredDeliveryTime", PidTagDeferredDeliveryTime},
	{"PidTagDeferredSendNumber", PidTagDeferredSendNumber},
	{"PidTagDeferredSendTime", PidTagDeferredSendTime},
	{"PidTagDeferredSendUnits", PidTagDeferredSendUnits},
	{"PidTagDelegateFlags", PidTagDelegateFlags},
	{"PidTagDelegatedByRule", PidTagDelegatedByRule},
	{"PidTagDeleteAfterSubmit", PidTagDeleteAfterSubmit},
	{"PidTagDeletedAssociatedMessageCount", PidTagDeletedAssociatedMessageCount},
	{"PidTagDeletedCountTotal", PidTagDeletedCountTotal},
	{"PidTagDeletedFolderCount", PidTagDeletedFolderCount},
	{"PidTagDeletedMessageCount", PidTagDeletedMessageCount},
	{"PidTagDeletedOn", PidTagDeletedOn},
	{"PidTagDeliverTime", PidTagDeliverTime},
	{"PidTagDepartmentName", PidTagDepartmentName},
	{"PidTagDepth", PidTagDepth},
	{"PidTagDisplayBcc", PidTagDisplayBcc},
	{"PidTagDisplayCc", PidTagDisplayCc},
	{"PidTagDisplayName", PidTagDisplayName},
	{"PidTagDisplayNamePrefix", PidTagDisplayNamePrefix},
	{"PidTagDisplayTo", PidTagDisplayTo},
	{"PidTagDisplayType", PidTagDisplayType},
	{"PidTagDisplayTypeEx", PidTagDisplayTypeEx},
	{"PidTagEmailAddress", PidTagEmailAddress},
	{"PidTagEndDate", PidTagEndDate},
	{"PidTagEntryId", PidTagEntryId},
	{"PidTagExceptionEndTime", PidTagExceptionEndTime},
	{"PidTagExceptionReplaceTime", PidTagExceptionReplaceTime},
	{"PidTagExceptionStartTime", PidTagExceptionStartTime},
	{"PidTagExchangeNTSecurityDescriptor", PidTagExchangeNTSecurityDescriptor},
	{"PidTagExpiryNumber", PidTagExpiryNumber},
	{"PidTagExpiryTime", PidTagExpiryTime},
	{"PidTagExpiryUnits", PidTagExpiryUnits},
	{"PidTagExtendedFolderFlags", PidTagExtendedFolderFlags},
	{"PidTagExtendedRuleMessageActions", PidTagExtendedRuleMessageActions},
	{"PidTagExtendedRuleMessageCondition", PidTagExtendedRuleMessageCondition},
	{"PidTagExtendedRuleSizeLimit", PidTagExtendedRuleSizeLimit},
	{"PidTagFinderEntryId", PidTagFinderEntryId},
	{"PidTagFlagCompleteTime", PidTagFlagCompleteTime},
	{"PidTagFlagStatus", PidTagFlagStatus},
	{"PidTagFlatUrlName", PidTagFlatUrlName},
	{"PidTagFolderAssociatedContents", PidTagFolderAssociatedContents},
	{"PidTagFolderFlags", PidTagFolderFlags},
	{"PidTagFolderId", PidTagFolderId},
	{"PidTagFolderType", PidTagFolderType},
	{"PidTagFollowupIcon", PidTagFollowupIcon},
	{"PidTagFreeBusyCountMonths", PidTagFreeBusyCountMonths},
	{"PidTagFreeBusyEntryIds", PidTagFreeBusyEntryIds},
	{"PidTagFreeBusyMessageEmailAddress", PidTagFreeBusyMessageEmailAddress},
	{"PidTagFreeBusyPublishEnd", PidTagFreeBusyPublishEnd},
	{"PidTagFreeBusyPublishStart", PidTagFreeBusyPublishStart},
	{"PidTagFreeBusyRangeTimestamp", PidTagFreeBusyRangeTimestamp},
	{"PidTagFtpSite", PidTagFtpSite},
	{"PidTagGatewayNeedsToRefresh", PidTagGatewayNeedsToRefresh},
	{"PidTagGender", PidTagGender},
	{"PidTagGeneration", PidTagGeneration},
	{"PidTagGivenName", PidTagGivenName},
	{"PidTagGovernmentIdNumber", PidTagGovernmentIdNumber},
	{"PidTagHasAttachments", PidTagHasAttachments},
	{"PidTagHasDeferredActionMessages", PidTagHasDeferredActionMessages},
	{"PidTagHasNamedProperties", PidTagHasNamedProperties},
	{"PidTagHasRules", PidTagHasRules},
	{"PidTagHierRev", PidTagHierRev},
	{"PidTagHierarchyChangeNumber", PidTagHierarchyChangeNumber},
	{"PidTagHobbies", PidTagHobbies},
	{"PidTagHome2TelephoneNumber", PidTagHome2TelephoneNumber},
	{"PidTagHome2TelephoneNumbers", PidTagHome2TelephoneNumbers},
	{"PidTagHomeAddressCity", PidTagHomeAddressCity},
	{"PidTagHomeAddressCountry", PidTagHomeAddressCountry},
	{"PidTagHomeAddressPostOfficeBox", PidTagHomeAddressPostOfficeBox},
	{"PidTagHomeAddressPostalCode", PidTagHomeAddressPostalCode},
	{"PidTagHomeAddressStateOrProvince", PidTagHomeAddressStateOrProvince},
	{"PidTagHomeAddressStreet", PidTagHomeAddressStreet},
	{"PidTagHomeFaxNumber", PidTagHomeFaxNumber},
	{"PidTagHomeTelephoneNumber", PidTagHomeTelephoneNumber},
	{"PidTagHtml", PidTagHtml},
	{"PidTagICalendarEndTime", PidTagICalendarEndTime},
	{"PidTagICalendarReminderNextTime", PidTagICalendarReminderNextTime},
	{"PidTagICalendarStartTime", PidTagICalendarStartTime},
	{"PidTagIconIndex", PidTagIconIndex},
	{"PidTagImportance", PidTagImportance},
	{"PidTagInConflict", PidTagInConflict},
	{"PidTagInReplyToId", PidTagInReplyToId},
	{"PidTagInitialDetailsPane", PidTagInitialDetailsPane},
	{"PidTagInitials", PidTagInitials},
	{"PidTagInstID", PidTagInstID},
	{"PidTagInstanceKey", PidTagInstanceKey},
	{"PidTagInstanceNum", PidTagInstanceNum},
	{"PidTagInternetArticleNumber", PidTagInternetArticleNumber},
	{"PidTagInternetCodepage", PidTagInternetCodepage},
	{"PidTagInternetMailOverrideFormat", PidTagInternetMailOverrideFormat},
	{"PidTagInternetMessageId", PidTagInternetMessageId},
	{"PidTagInternetReferences", PidTagInternetReferences},
	{"PidTagIpmAppointmentEntryId", PidTagIpmAppointmentEntryId},
	{"PidTagIpmContactEntryId", PidTagIpmContactEntryId},
	{"PidTagIpmDraftsEntryId", PidTagIpmDraftsEntryId},
	{"PidTagIpmJournalEntryId", PidTagIpmJournalEntryId},
	{"PidTagIpmNoteEntryId", PidTagIpmNoteEntryId},
	{"PidTagIpmOutboxEntryId", PidTagIpmOutboxEntryId},
	{"PidTagIpmSentMailEntryId", PidTagIpmSentMailEntryId},
	{"PidTagIpmSubtreeEntryId", PidTagIpmSubtreeEntryId},
	{"PidTagIpmTaskEntryId", PidTagIpmTaskEntryId},
	{"PidTagIpmWastebasketEntryId", PidTagIpmWastebasketEntryId},
	{"PidTagIsdnNumber", PidTagIsdnNumber},
	{"PidTagJunkAddRecipientsToSafeSendersList", PidTagJunkAddRecipientsToSafeSendersList},
	{"PidTagJunkIncludeContacts", PidTagJunkIncludeContacts},
	{"PidTagJunkPermanentlyDelete", PidTagJunkPermanentlyDelete},
	{"PidTagJunkPhishingEnableLinks", PidTagJunkPhishingEnableLinks},
	{"PidTagJunkThreshold", PidTagJunkThreshold},
	{"PidTagKeyword", PidTagKeyword},
	{"PidTagLanguage", PidTagLanguage},
	{"PidTagLastModificationTime", PidTagLastModificationTime},
	{"PidTagLastModifierEntryId", PidTagLastModifierEntryId},
	{"PidTagLastModifierName", PidTagLastModifierName},
	{"PidTagLastVerbExecuted", PidTagLastVerbExecuted},
	{"PidTagLastVerbExecutionTime", PidTagLastVerbExecutionTime},
	{"PidTagListHelp", PidTagListHelp},
	{"PidTagListSubscribe", PidTagListSubscribe},
	{"PidTagListUnsubscribe", PidTagListUnsubscribe},
	{"PidTagLocalCommitTime", PidTagLocalCommitTime},
	{"PidTagLocalCommitTimeMax", PidTagLocalCommitTimeMax},
	{"PidTagLocaleId", PidTagLocaleId},
	{"PidTagLocality", PidTagLocality},
	{"PidTagLocation", PidTagLocation},
	{"PidTagMailboxOwnerEntryId", PidTagMailboxOwnerEntryId},
	{"PidTagMailboxOwnerName", PidTagMailboxOwnerName},
	{"PidTagManagerName", PidTagManagerName},
	{"PidTagMappingSignature", PidTagMappingSignature},
	{"PidTagMaximumSubmitMessageSize", PidTagMaximumSubmitMessageSize},
	{"PidTagMemberId", PidTagMemberId},
	{"PidTagMemberName", PidTagMemberName},
	{"PidTagMemberRights", PidTagMemberRights},
	{"PidTagMessageAttachments", PidTagMessageAttachments},
	{"PidTagMessageCcMe", PidTagMessageCcMe},
	{"PidTagMessageClass", PidTagMessageClass},
	{"PidTagMessageCodepage", PidTagMessageCodepage},
	{"PidTagMessageDeliveryTime", PidTagMessageDeliveryTime},
	{"PidTagMessageEditorFormat", PidTagMessageEditorFormat},
	{"PidTagMessageFlags", PidTagMessageFlags},
	{"PidTagMessageHandlingSystemCommonName", PidTagMessageHandlingSystemCommonName},
	{"PidTagMessageLocaleId", PidTagMessageLocaleId},
	{"PidTagMessageRecipientMe", PidTagMessageRecipientMe},
	{"PidTagMessageRecipients", PidTagMessageRecipients},
	{"PidTagMessageSize", PidTagMessageSize},
	{"PidTagMessageSizeExtended", PidTagMessageSizeExtended},
	{"PidTagMessageStatus", PidTagMessageStatus},
	{"PidTagMessageSubmissionId", PidTagMessageSubmissionId},
	{"PidTagMessageToMe", PidTagMessageToMe},
	{"PidTagMid", PidTagMid},
	{"PidTagMiddleName", PidTagMiddleName},
	{"PidTagMimeSkeleton", PidTagMimeSkeleton},
	{"PidTagMobileTelephoneNumber", PidTagMobileTelephoneNumber},
	{"PidTagNativeBody", PidTagNativeBody},
	{"PidTagNextSendAcct", PidTagNextSendAcct},
	{"PidTagNickname", PidTagNickname},
	{"PidTagNonDeliveryReportDiagCode", PidTagNonDeliveryReportDiagCode},
	{"PidTagNonDeliveryReportReasonCode", PidTagNonDeliveryReportReasonCode},
	{"PidTagNonDeliveryReportStatusCode", PidTagNonDeliveryReportStatusCode},
	{"PidTagNonReceiptNotificationRequested", PidTagNonReceiptNotificationRequested},
	{"PidTagNormalMessageSize", PidTagNormalMessageSize},
	{"PidTagNormalMessageSizeExtended", PidTagNormalMessageSizeExtended},
	{"PidTagNormalizedSubject", PidTagNormalizedSubject},
	{"PidTagObjectType", PidTagObjectType},
	{"PidTagOfficeLocation", PidTagOfficeLocation},
	{"PidTagOrdinalMost", PidTagOrdinalMost},
	{"PidTagOrganizationalIdNumber", PidTagOrganizationalIdNumber},
	{"PidTagOriginalAuthorEntryId", PidTagOriginalAuthorEntryId},
	{"PidTagOriginalAuthorName", PidTagOriginalAuthorName},
	{"PidTagOriginalDeliveryTime", PidTagOriginalDeliveryTime},
	{"PidTagOriginalDisplayBcc", PidTagOriginalDisplayBcc},
	{"PidTagOriginalDisplayCc", PidTagOriginalDisplayCc},
	{"PidTagOriginalDisplayTo", PidTagOriginalDisplayTo},
	{"PidTagOriginalEntryId", PidTagOriginalEntryId},
	{"PidTagOriginalMessageClass", PidTagOriginalMessageClass},
	{"PidTagOriginalMessageId", PidTagOriginalMessageId},
	{"PidTagOriginalSenderAddressType", PidTagOriginalSenderAddressType},
	{"PidTagOriginalSenderEmailAddress", PidTagOriginalSenderEmailAddress},
	{"PidTagOriginalSenderEntryId", PidTagOriginalSenderEntryId},
	{"PidTagOriginalSenderName", PidTagOriginalSenderName},
	{"PidTagOriginalSenderSearchKey", PidTagOriginalSenderSearchKey},
	{"PidTagOriginalSensitivity", PidTagOriginalSensitivity},
	{"PidTagOriginalSentRepresentingAddressType", PidTagOriginalSentRepresentingAddressType},
	{"PidTagOriginalSentRepresentingEmailAddress", PidTagOriginalSentRepresentingEmailAddress},
	{"PidTagOriginalSentRepresentingEntryId", PidTagOriginalSentRepresentingEntryId},
	{"PidTagOriginalSentRepresentingName", PidTagOriginalSentRepresentingName},
	{"PidTagOriginalSentRepresentingSearchKey", PidTagOriginalSentRepresentingSearchKey},
	{"PidTagOriginalSubject", PidTagOriginalSubject},
	{"PidTagOriginalSubmitTime", PidTagOriginalSubmitTime},
	{"PidTagOriginatorDeliveryReportRequested", PidTagOriginatorDeliveryReportRequested},
	{"PidTagOriginatorNonDeliveryReportRequested", PidTagOriginatorNonDeliveryReportRequested},
	{"PidTagOscSyncEnabled", PidTagOscSyncEnabled},
	{"PidTagOtherAddressCity", PidTagOtherAddressCity},
	{"PidTagOtherAddressCountry", PidTagOtherAddressCountry},
	{"PidTagOtherAddressPostOfficeBox", PidTagOtherAddressPostOfficeBox},
	{"PidTagOtherAddressPostalCode", PidTagOtherAddressPostalCode},
	{"PidTagOtherAddressStateOrProvince", PidTagOtherAddressStateOrProvince},
	{"PidTagOtherAddressStreet", PidTagOtherAddressStreet},
	{"PidTagOtherTelephoneNumber", PidTagOtherTelephoneNumber},
	{"PidTagOutOfOfficeState", PidTagOutOfOfficeState},
	{"PidTagOwnerAppointmentId", PidTagOwnerAppointmentId},
	{"PidTagPagerTelephoneNumber", PidTagPagerTelephoneNumber},
	{"PidTagParentEntryId", PidTagParentEntryId},
	{"PidTagParentFolderId", PidTagParentFolderId},
	{"PidTagParentKey", PidTagParentKey},
	{"PidTagParentSourceKey", PidTagParentSourceKey},
	{"PidTagPersonalHomePage", PidTagPersonalHomePage},
	{"PidTagPolicyTag", PidTagPolicyTag},
	{"PidTagPostOfficeBox", PidTagPostOfficeBox},
	{"PidTagPostalAddress", PidTagPostalAddress},
	{"PidTagPostalCode", PidTagPostalCode},
	{"PidTagPredecessorChangeList", PidTagPredecessorChangeList},
	{"PidTagPrimaryFaxNumber", PidTagPrimaryFaxNumber},
	{"PidTagPrimarySendAccount", PidTagPrimarySendAccount},
	{"PidTagPrimaryTelephoneNumber", PidTagPrimaryTelephoneNumber},
	{"PidTagPriority", PidTagPriority},
	{"PidTagProcessed", PidTagProcessed},
	{"PidTagProfession", PidTagProfession},
	{"PidTagProhibitReceiveQuota", PidTagProhibitReceiveQuota},
	{"PidTagProhibitSendQuota", PidTagProhibitSendQuota},
	{"PidTagPurportedSenderDomain", PidTagPurportedSenderDomain},
	{"PidTagRadioTelephoneNumber", PidTagRadioTelephoneNumber},
	{"PidTagRead", PidTagRead},
	{"PidTagReadReceiptAddressType", PidTagReadReceiptAddressType},
	{"PidTagReadReceiptEmailAddress", PidTagReadReceiptEmailAddress},
	{"PidTagReadReceiptEntryId", PidTagReadReceiptEntryId},
	{"PidTagReadReceiptName", PidTagReadReceiptName},
	{"PidTagReadReceiptRequested", PidTagReadReceiptRequested},
	{"PidTagReadReceiptSearchKey", PidTagReadReceiptSearchKey},
	{"PidTagReadReceiptSmtpAddress", PidTagReadReceiptSmtpAddress},
	{"PidTagReceiptTime", PidTagReceiptTime},
	{"PidTagReceivedByAddressType", PidTagReceivedByAddressType},
	{"PidTagReceivedByEmailAddress", PidTagReceivedByEmailAddress},
	{"PidTagReceivedByEntryId", PidTagReceivedByEntryId},
	{"PidTagReceivedByName", PidTagReceivedByName},
	{"PidTagReceivedBySearchKey", PidTagReceivedBySearchKey},
	{"PidTagReceivedBySmtpAddress", PidTagReceivedBySmtpAddress},
	{"PidTagReceivedRepresentingAddressType", PidTagReceivedRepresentingAddressType},
	{"PidTagReceivedRepresentingEmailAddress", PidTagReceivedRepresentingEmailAddress},
	{"PidTagReceivedRepresentingEntryId", PidTagReceivedRepresentingEntryId},
	{"PidTagReceivedRepresentingName", PidTagReceivedRepresentingName},
	{"PidTagReceivedRepresentingSearchKey", PidTagReceivedRepresentingSearchKey},
	{"PidTagReceivedRepresentingSmtpAddress", PidTagReceivedRepresentingSmtpAddress},
	{"PidTagRecipientDisplayName", PidTagRecipientDisplayName},
	{"PidTagRecipientEntryId", PidTagRecipientEntryId},
	{"PidTagRecipientFlags", PidTagRecipientFlags},
	{"PidTagRecipientOrder", PidTagRecipientOrder},
	{"PidTagRecipientProposed", PidTagRecipientProposed},
	{"PidTagRecipientProposedEndTime", PidTagRecipientProposedEndTime},
	{"PidTagRecipientProposedStartTime", PidTagRecipientProposedStartTime},
	{"PidTagRecipientReassignmentProhibited", PidTagRecipientReassignmentProhibited},
	{"PidTagRecipientTrackStatus", PidTagRecipientTrackStatus},
	{"PidTagRecipientTrackStatusTime", PidTagRecipientTrackStatusTime},
	{"PidTagRecipientType", PidTagRecipientType},
	{"PidTagRecordKey", PidTagRecordKey},
	{"PidTagReferredByName", PidTagReferredByName},
	{"PidTagRemindersOnlineEntryId", PidTagRemindersOnlineEntryId},
	{"PidTagRemoteMessageTransferAgent", PidTagRemoteMessageTransferAgent},
	{"PidTagRenderingPosition", PidTagRenderingPosition},
	{"PidTagReplyRecipientEntries", PidTagReplyRecipientEntries},
	{"PidTagReplyRecipientNames", PidTagReplyRecipientNames},
	{"PidTagReplyRequested", PidTagReplyRequested},
	{"PidTagReplyTemplateId", PidTagReplyTemplateId},
	{"PidTagReplyTime", PidTagReplyTime},
	{"PidTagReportDisposition", PidTagReportDisposition},
	{"PidTagReportDispositionMode", PidTagReportDispositionMode},
	{"PidTagReportEntryId", PidTagReportEntryId},
	{"PidTagReportName", PidTagReportName},
	{"PidTagReportSearchKey", PidTagReportSearchKey},
	{"PidTagReportTag", PidTagReportTag},
	{"PidTagReportText", PidTagReportText},
	{"PidTagReportTime", PidTagReportTime},
	{"PidTagReportingMessageTransferAgent", PidTagReportingMessageTransferAgent},
	{"PidTagResolveMethod", PidTagResolveMethod},
	{"PidTagResponseRequested", PidTagResponseRequested},
	{"PidTagResponsibility", PidTagResponsibility},
	{"PidTagRetentionDate", PidTagRetentionDate},
	{"PidTagRetentionFlags", PidTagRetentionFlags},
	{"PidTagRetentionPeriod", PidTagRetentionPeriod},
	{"PidTagRights", PidTagRights},
	{"PidTagRoamingDatatypes", PidTagRoamingDatatypes},
	{"PidTagRoamingDictionary", PidTagRoamingDictionary},
	{"PidTagRoamingXmlStream", PidTagRoamingXmlStream},
	{"PidTagRowType", PidTagRowType},
	{"PidTagRowid", PidTagRowid},
	{"PidTagRtfCompressed", PidTagRtfCompressed},
	{"PidTagRtfInSync", PidTagRtfInSync},
	{"PidTagRuleActionNumber", PidTagRuleActionNumber},
	{"PidTagRuleActionType", PidTagRuleActionType},
	{"PidTagRuleActions", PidTagRuleActions},
	{"PidTagRuleCondition", PidTagRuleCondition},
	{"PidTagRuleError", PidTagRuleError},
	{"PidTagRuleFolderEntryId", PidTagRuleFolderEntryId},
	{"PidTagRuleId", PidTagRuleId},
	{"PidTagRuleIds", PidTagRuleIds},
	{"PidTagRuleLevel", PidTagRuleLevel},
	{"PidTagRuleMessageLevel", PidTagRuleMessageLevel},
	{"PidTagRuleMessageName", PidTagRuleMessageName},
	{"PidTagRuleMessageProvider", PidTagRuleMessageProvider},
	{"PidTagRuleMessageProviderData", PidTagRuleMessageProviderData},
	{"PidTagRuleMessageSequence", PidTagRuleMessageSequence},
	{"PidTagRuleMessageState", PidTagRuleMessageState},
	{"PidTagRuleMessageUserFlags", PidTagRuleMessageUserFlags},
	{"PidTagRuleName", PidTagRuleName},
	{"PidTagRuleProvider", PidTagRuleProvider},
	{"PidTagRuleProviderData", PidTagRuleProviderData},
	{"PidTagRuleSequence", PidTagRuleSequence},
	{"PidTagRuleState", PidTagRuleState},
	{"PidTagRuleUserFlags", PidTagRuleUserFlags},
	{"PidTagRwRulesStream", PidTagRwRulesStream},
	{"PidTagScheduleInfoAppointmentTombstone", PidTagScheduleInfoAppointmentTombstone},
	{"PidTagScheduleInfoAutoAcceptAppointments", PidTagScheduleInfoAutoAcceptAppointments},
	{"PidTagScheduleInfoDelegateEntryIds", PidTagScheduleInfoDelegateEntryIds},
	{"PidTagScheduleInfoDelegateNames", PidTagScheduleInfoDelegateNames},
	{"PidTagScheduleInfoDelegateNamesW", PidTagScheduleInfoDelegateNamesW},
	{"PidTagScheduleInfoDelegatorWantsCopy", PidTagScheduleInfoDelegatorWantsCopy},
	{"PidTagScheduleInfoDelegatorWantsInfo", PidTagScheduleInfoDelegatorWantsInfo},
	{"PidTagScheduleInfoDisallowOverlappingAppts", PidTagScheduleInfoDisallowOverlappingAppts},
	{"PidTagScheduleInfoDisallowRecurringAppts", PidTagScheduleInfoDisallowRecurringAppts},
	{"PidTagScheduleInfoDontMailDelegates", PidTagScheduleInfoDontMailDelegates},
	{"PidTagScheduleInfoFreeBusy", PidTagScheduleInfoFreeBusy},
	{"PidTagScheduleInfoFreeBusyAway", PidTagScheduleInfoFreeBusyAway},
	{"PidTagScheduleInfoFreeBusyBusy", PidTagScheduleInfoFreeBusyBusy},
	{"PidTagScheduleInfoFreeBusyMerged", PidTagScheduleInfoFreeBusyMerged},
	{"PidTagScheduleInfoFreeBusyTentative", PidTagScheduleInfoFreeBusyTentative},
	{"PidTagScheduleInfoMonthsAway", PidTagScheduleInfoMonthsAway},
	{"PidTagScheduleInfoMonthsBusy", PidTagScheduleInfoMonthsBusy},
	{"PidTagScheduleInfoMonthsMerged", PidTagScheduleInfoMonthsMerged},
	{"PidTagScheduleInfoMonthsTentative", PidTagScheduleInfoMonthsTentative},
	{"PidTagScheduleInfoResourceType", PidTagScheduleInfoResourceType},
	{"PidTagSchedulePlusFreeBusyEntryId", PidTagSchedulePlusFreeBusyEntryId},
	{"PidTagScriptData", PidTagScriptData},
	{"PidTagSearchFolderDefinition", PidTagSearchFolderDefinition},
	{"PidTagSearchFolderEfpFlags", PidTagSearchFolderEfpFlags},
	{"PidTagSearchFolderExpiration", PidTagSearchFolderExpiration},
	{"PidTagSearchFolderId", PidTagSearchFolderId},
	{"PidTagSearchFolderLastUsed", PidTagSearchFolderLastUsed},
	{"PidTagSearchFolderRecreateInfo", PidTagSearchFolderRecreateInfo},
	{"PidTagSearchFolderStorageType", PidTagSearchFolderStorageType},
	{"PidTagSearchFolderTag", PidTagSearchFolderTag},
	{"PidTagSearchFolderTemplateId", PidTagSearchFolderTemplateId},
	{"PidTagSearchKey", PidTagSearchKey},
	{"PidTagSecurityDescriptorAsXml", PidTagSecurityDescriptorAsXml},
	{"PidTagSelectable", PidTagSelectable},
	{"PidTagSendInternetEncoding", PidTagSendInternetEncoding},
	{"PidTagSendRichInfo", PidTagSendRichInfo},
	{"PidTagSenderAddressType", PidTagSenderAddressType},
	{"PidTagSenderEmailAddress", PidTagSenderEmailAddress},
	{"PidTagSenderEntryId", PidTagSenderEntryId},
	{"PidTagSenderIdStatus", PidTagSenderIdStatus},
	{"PidTagSenderName", PidTagSenderName},
	{"PidTagSenderSearchKey", PidTagSenderSearchKey},
	{"PidTagSenderSmtpAddress", PidTagSenderSmtpAddress},
	{"PidTagSensitivity", PidTagSensitivity},
	{"PidTagSentMailEntryId", PidTagSentMailEntryId},
	{"PidTagSentMailSvrEID", PidTagSentMailSvrEID},
	{"PidTagSentRepresentingAddressType", PidTagSentRepresentingAddressType},
	{"PidTagSentRepresentingEmailAddress", PidTagSentRepresentingEmailAddress},
	{"PidTagSentRepresentingEntryId", PidTagSentRepresentingEntryId},
	{"PidTagSentRepresentingFlags", PidTagSentRepresentingFlags},
	{"PidTagSentRepresentingName", PidTagSentRepresentingName},
	{"PidTagSentRepresentingSearchKey", PidTagSentRepresentingSearchKey},
	{"PidTagSentRepresentingSmtpAddress", PidTagSentRepresentingSmtpAddress},
	{"PidTagSerializedReplidGuidMap", PidTagSerializedReplidGuidMap},
	{"PidTagSmtpAddress", PidTagSmtpAddress},
	{"PidTagSortLocaleId", PidTagSortLocaleId},
	{"PidTagSourceKey", PidTagSourceKey},
	{"PidTagSpouseName", PidTagSpouseName},
	{"PidTagStartDate", PidTagStartDate},
	{"PidTagStartDateEtc", PidTagStartDateEtc},
	{"PidTagStateOrProvince", PidTagStateOrProvince},
	{"PidTagStorageQuotaLimit", PidTagStorageQuotaLimit},
	{"PidTagStoreEntryId", PidTagStoreEntryId},
	{"PidTagStoreRecordKey", PidTagStoreRecordKey},
	{"PidTagStoreState", PidTagStoreState},
	{"PidTagStoreSupportMask", PidTagStoreSupportMask},
	{"PidTagStreetAddress", PidTagStreetAddress},
	{"PidTagSubfolders", PidTagSubfolders},
	{"PidTagSubject", PidTagSubject},
	{"PidTagSubjectPrefix", PidTagSubjectPrefix},
	{"PidTagSupplementaryInfo", PidTagSupplementaryInfo},
	{"PidTagSurname", PidTagSurname},
	{"PidTagSwappedToDoData", PidTagSwappedToDoData},
	{"PidTagSwappedToDoStore", PidTagSwappedToDoStore},
	{"PidTagTargetEntryId", PidTagTargetEntryId},
	{"PidTagTelecommunicationsDeviceForDeafTelephoneNumber", PidTagTelecommunicationsDeviceForDeafTelephoneNumber},
	{"PidTagTelexNumber", PidTagTelexNumber},
	{"PidTagTemplateData", PidTagTemplateData},
	{"PidTagTemplateid", PidTagTemplateid},
	{"PidTagTextAttachmentCharset", PidTagTextAttachmentCharset},
	{"PidTagTitle", PidTagTitle},
	{"PidTagTnefCorrelationKey", PidTagTnefCorrelationKey},
	{"PidTagToDoItemFlags", PidTagToDoItemFlags},
	{"PidTagTransmittableDisplayName", PidTagTransmittableDisplayName},
	{"PidTagTransportMessageHeaders", PidTagTransportMessageHeaders},
	{"PidTagTrustSender", PidTagTrustSender},
	{"PidTagUserCertificate", PidTagUserCertificate},
	{"PidTagUserEntryId", PidTagUserEntryId},
	{"PidTagUserX509Certificate", PidTagUserX509Certificate},
	{"PidTagValidFolderMask", PidTagValidFolderMask},
	{"PidTagViewDescriptorBinary", PidTagViewDescriptorBinary},
	{"PidTagViewDescriptorName", PidTagViewDescriptorName},
	{"PidTagViewDescriptorStrings", PidTagViewDescriptorStrings},
	{"PidTagViewDescriptorVersion", PidTagViewDescriptorVersion},
	{"PidTagViewsEntryId", PidTagViewsEntryId},
	{"PidTagWeddingAnniversary", PidTagWeddingAnniversary},
	{"PidTagWlinkAddressBookEID", PidTagWlinkAddressBookEID},
	{"PidTagWlinkAddressBookStoreEID", PidTagWlinkAddressBookStoreEID},
	{"PidTagWlinkCalendarColor", PidTagWlinkCalendarColor},
	{"PidTagWlinkClientID", PidTagWlinkClientID},
	{"PidTagWlinkEntryId", PidTagWlinkEntryId},
	{"PidTagWlinkFlags", PidTagWlinkFlags},
	{"PidTagWlinkFolderType", PidTagWlinkFolderType},
	{"PidTagWlinkGroupClsid", PidTagWlinkGroupClsid},
	{"PidTagWlinkGroupHeaderID", PidTagWlinkGroupHeaderID},
	{"PidTagWlinkGroupName", PidTagWlinkGroupName},
	{"PidTagWlinkOrdinal", PidTagWlinkOrdinal},
	{"PidTagWlinkROGroupType", PidTagWlinkROGroupType},
	{"PidTagWlinkRecordKey", PidTagWlinkRecordKey},
	{"PidTagWlinkSaveStamp", PidTagWlinkSaveStamp},
	{"PidTagWlinkSection", PidTagWlinkSection},
	{"PidTagWlinkStoreEntryId", PidTagWlinkStoreEntryId},
	{"PidTagWlinkType", PidTagWlinkType},
}

// tagsByID are places in tagsByName, ascending by property id.
var tagsByID = [...]uint16{
	487, 13, 52, 431, 53, 102, 114, 132, 181, 235, 289, 304, 315, 327, 330, 350, 281, 363, 369, 371,
	453, 478, 73, 367, 461, 479, 333, 334, 458, 460, 339, 340, 366, 325, 247, 287, 274, 267, 268, 288,
	359, 360, 335, 341, 328, 368, 269, 248, 234, 242, 279, 278, 280, 285, 284, 286, 468, 125, 300, 374,
	456, 457, 276, 277, 282, 283, 92, 90, 270, 271, 272, 331, 332, 337, 338, 494, 491, 364, 365, 10,
	11, 257, 256, 259, 290, 353, 361, 448, 450, 480, 451, 446, 447, 258, 357, 108, 117, 118, 121, 237,
	239, 244, 245, 302, 454, 375, 243, 233, 246, 159, 262, 386, 43, 38, 189, 313, 254, 492, 483, 482,
	322, 442, 495, 130, 135, 136, 137, 0, 383, 187, 2, 228, 354, 473, 472, 263, 126, 57, 370, 385,
	60, 176, 59, 58, 253, 192, 193, 183, 217, 218, 219, 275, 180, 215, 216, 140, 139, 146, 56, 81,
	179, 177, 68, 178, 50, 51, 384, 119, 12, 124, 75, 116, 94, 212, 441, 484, 89, 91, 17, 307,
	378, 469, 376, 377, 16, 15, 475, 474, 499, 201, 199, 203, 200, 504, 76, 138, 84, 145, 86, 88,
	443, 477, 14, 85, 83, 142, 82, 21, 194, 195, 197, 198, 202, 356, 196, 4, 5, 134, 265, 148,
	100, 28, 29, 30, 31, 32, 36, 34, 39, 42, 44, 358, 45, 35, 37, 24, 25, 26, 27, 33,
	41, 40, 489, 122, 488, 123, 464, 6, 3, 66, 156, 157, 158, 65, 175, 185, 210, 211, 224, 240,
	266, 481, 273, 309, 78, 490, 115, 264, 314, 61, 62, 252, 321, 67, 298, 493, 301, 496, 312, 63,
	174, 93, 223, 470, 476, 310, 308, 486, 204, 19, 166, 167, 18, 445, 505, 55, 165, 250, 120, 317,
	355, 467, 79, 97, 485, 153, 155, 227, 255, 306, 64, 77, 71, 168, 169, 171, 172, 173, 170, 292,
	293, 295, 296, 297, 294, 498, 444, 184, 190, 54, 1, 107, 373, 160, 103, 105, 131, 133, 104, 80,
	241, 471, 96, 95, 214, 213, 236, 459, 323, 324, 326, 87, 449, 163, 320, 191, 238, 452, 462, 329,
	336, 342, 346, 347, 349, 348, 343, 344, 352, 345, 351, 206, 209, 207, 205, 208, 251, 362, 466, 305,
	69, 311, 401, 402, 398, 397, 396, 399, 400, 497, 225, 226, 299, 430, 463, 379, 162, 7, 164, 112,
	111, 109, 72, 99, 98, 391, 388, 161, 387, 392, 318, 182, 229, 319, 230, 231, 232, 393, 394, 406,
	407, 408, 390, 389, 404, 403, 395, 405, 113, 222, 143, 260, 261, 22, 23, 74, 8, 465, 220, 221,
	110, 141, 455, 101, 144, 303, 249, 186, 188, 9, 70, 20, 409, 372, 436, 434, 429, 440, 415, 435,
	514, 419, 413, 437, 412, 432, 154, 438, 151, 439, 519, 150, 433, 149, 522, 414, 511, 416, 516, 510,
	518, 521, 427, 512, 423, 513, 428, 515, 424, 520, 426, 508, 422, 506, 425, 421, 152, 147, 410, 106,
	420, 411, 418, 417, 509, 507, 517, 500, 502, 501, 503, 380, 381, 382, 291, 316, 128, 49, 129, 127,
	47, 48, 46,
}

var namedByName = [...]knownNamed{
	{"PidLidAddressBookProviderArrayType", &PidLidAddressBookProviderArrayType},
	{"PidLidAddressBookProviderEmailList", &PidLidAddressBookProviderEmailList},
	{"PidLidAddressCountryCode", &PidLidAddressCountryCode},
	{"PidLidAgingDontAgeMe", &PidLidAgingDontAgeMe},
	{"PidLidAllAttendeesString", &PidLidAllAttendeesString},
	{"PidLidAllowExternalCheck", &PidLidAllowExternalCheck},
	{"PidLidAnniversaryEventEntryId", &PidLidAnniversaryEventEntryId},
	{"PidLidAppointmentAuxiliaryFlags", &PidLidAppointmentAuxiliaryFlags},
	{"PidLidAppointmentColor", &PidLidAppointmentColor},
	{"PidLidAppointmentCounterProposal", &PidLidAppointmentCounterProposal},
	{"PidLidAppointmentDuration", &PidLidAppointmentDuration},
	{"PidLidAppointmentEndDate", &PidLidAppointmentEndDate},
	{"PidLidAppointmentEndTime", &PidLidAppointmentEndTime},
	{"PidLidAppointmentEndWhole", &PidLidAppointmentEndWhole},
	{"PidLidAppointmentLastSequence", &PidLidAppointmentLastSequence},
	{"PidLidAppointmentMessageClass", &PidLidAppointmentMessageClass},
	{"PidLidAppointmentNotAllowPropose", &PidLidAppointmentNotAllowPropose},
	{"PidLidAppointmentProposalNumber", &PidLidAppointmentProposalNumber},
	{"PidLidAppointmentProposedDuration", &PidLidAppointmentProposedDuration},
	{"PidLidAppointmentProposedEndWhole", &PidLidAppointmentProposedEndWhole},
	{"PidLidAppointmentProposedStartWhole", &PidLidAppointmentProposedStartWhole},
	{"PidLidAppointmentRecur", &PidLidAppointmentRecur},
	{"PidLidAppointmentReplyName", &PidLidAppointmentReplyName},
	{"PidLidAppointmentReplyTime", &PidLidAppointmentReplyTime},
	{"PidLidAppointmentSequence", &PidLidAppointmentSequence},
	{"PidLidAppointmentSequenceTime", &PidLidAppointmentSequenceTime},
	{"PidLidAppointmentStartDate", &PidLidAppointmentStartDate},
	{"PidLidAppointmentStartTime", &PidLidAppointmentStartTime},
	{"PidLidAppointmentStartWhole", &PidLidAppointmentStartWhole},
	{"PidLidAppointmentStateFlags", &PidLidAppointmentStateFlags},
	{"PidLidAppointmentSubType", &PidLidAppointmentSubType},
	{"PidLidAppointmentTimeZoneDefinitionEndDisplay", &PidLidAppointmentTimeZoneDefinitionEndDisplay},
	{"PidLidAppointmentTimeZoneDefinitionRecur", &PidLidAppointmentTimeZoneDefinitionRecur},
	{"PidLidAppointmentTimeZoneDefinitionStartDisplay", &PidLidAppointmentTimeZoneDefinitionStartDisplay},
	{"PidLidAppointmentUnsendableRecipients", &PidLidAppointmentUnsendableRecipients},
	{"PidLidAppointmentUpdateTime", &PidLidAppointmentUpdateTime},
	{"PidLidAttendeeCriticalChange", &PidLidAttendeeCriticalChange},
	{"PidLidAutoFillLocation", &PidLidAutoFillLocation},
	{"PidLidAutoLog", &PidLidAutoLog},
	{"PidLidAutoProcessState", &PidLidAutoProcessState},
	{"PidLidAutoStartCheck", &PidLidAutoStartCheck},
	{"PidLidBilling", &PidLidBilling},
	{"PidLidBirthdayEventEntryId", &PidLidBirthdayEventEntryId},
	{"PidLidBirthdayLocal", &PidLidBirthdayLocal},
	{"PidLidBusinessCardCardPicture", &PidLidBusinessCardCardPicture},
	{"PidLidBusinessCardDisplayDefinition", &PidLidBusinessCardDisplayDefinition},
	{"PidLidBusyStatus", &PidLidBusyStatus},
	{"PidLidCalendarType", &PidLidCalendarType},
	{"PidLidCategories", &PidLidCategories},
	{"PidLidCcAttendeesString", &PidLidCcAttendeesString},
	{"PidLidChangeHighlight", &PidLidChangeHighlight},
	{"PidLidClassification", &PidLidClassification},
	{"PidLidClassificationDescription", &PidLidClassificationDescription},
	{"PidLidClassificationGuid", &PidLidClassificationGuid},
	{"PidLidClassificationKeep", &PidLidClassificationKeep},
	{"PidLidClassified", &PidLidClassified},
	{"PidLidCleanGlobalObjectId", &PidLidCleanGlobalObjectId},
	{"PidLidClientIntent", &PidLidClientIntent},
	{"PidLidClipEnd", &PidLidClipEnd},
	{"PidLidClipStart", &PidLidClipStart},
	{"PidLidCollaborateDoc", &PidLidCollaborateDoc},
	{"PidLidCommonEnd", &PidLidCommonEnd},
	{"PidLidCommonStart", &PidLidCommonStart},
	{"PidLidCompanies", &PidLidCompanies},
	{"PidLidConferencingCheck", &PidLidConferencingCheck},
	{"PidLidConferencingType", &PidLidConferencingType},
	{"PidLidContactCharacterSet", &PidLidContactCharacterSet},
	{"PidLidContactItemData", &PidLidContactItemData},
	{"PidLidContactLinkEntry", &PidLidContactLinkEntry},
	{"PidLidContactLinkGlobalAddressListLinkId", &PidLidContactLinkGlobalAddressListLinkId},
	{"PidLidContactLinkGlobalAddressListLinkState", &PidLidContactLinkGlobalAddressListLinkState},
	{"PidLidContactLinkLinkRejectHistory", &PidLidContactLinkLinkRejectHistory},
	{"PidLidContactLinkName", &PidLidContactLinkName},
	{"PidLidContactLinkSMTPAddressCache", &PidLidContactLinkSMTPAddressCache},
	{"PidLidContactLinkSearchKey", &PidLidContactLinkSearchKey},
	{"PidLidContactLinkedGlobalAddressListEntryId", &PidLidContactLinkedGlobalAddressListEntryId},
	{"PidLidContactUserField1", &PidLidContactUserField1},
	{"PidLidContactUserField2", &PidLidContactUserField2},
	{"PidLidContactUserField3", &PidLidContactUserField3},
	{"PidLidContactUserField4", &PidLidContactUserField4},
	{"PidLidContacts", &PidLidContacts},
	{"PidLidConversationActionLastAppliedTime", &PidLidConversationActionLastAppliedTime},
	{"PidLidConversationActionMaxDeliveryTime", &PidLidConversationActionMaxDeliveryTime},
	{"PidLidConversationActionMoveFolderEid", &PidLidConversationActionMoveFolderEid},
	{"PidLidConversationActionMoveStoreEid", &PidLidConversationActionMoveStoreEid},
	{"PidLidConversationActionVersion", &PidLidConversationActionVersion},
	{"PidLidConversationProcessed", &PidLidConversationProcessed},
	{"PidLidCurrentVersion", &PidLidCurrentVersion},
	{"PidLidCurrentVersionName", &PidLidCurrentVersionName},
	{"PidLidDayInterval", &PidLidDayInterval},
	{"PidLidDayOfMonth", &PidLidDayOfMonth},
	{"PidLidDelegateMail", &PidLidDelegateMail},
	{"PidLidDepartment", &PidLidDepartment},
	{"PidLidDirectory", &PidLidDirectory},
	{"PidLidDistributionListChecksum", &PidLidDistributionListChecksum},
	{"PidLidDistributionListMembers", &PidLidDistributionListMembers},
	{"PidLidDistributionListName", &PidLidDistributionListName},
	{"PidLidDistributionListOneOffMembers", &PidLidDistributionListOneOffMembers},
	{"PidLidDistributionListStream", &PidLidDistributionListStream},
	{"PidLidEmail1AddressType", &PidLidEmail1AddressType},
	{"PidLidEmail1DisplayName", &PidLidEmail1DisplayName},
	{"PidLidEmail1EmailAddress", &PidLidEmail1EmailAddress},
	{"PidLidEmail1OriginalDisplayName", &PidLidEmail1OriginalDisplayName},
	{"PidLidEmail1OriginalEntryId", &PidLidEmail1OriginalEntryId},
	{"PidLidEmail2AddressType", &PidLidEmail2AddressType},
	{"PidLidEmail2DisplayName", &PidLidEmail2DisplayName},
	{"PidLidEmail2EmailAddress", &PidLidEmail2EmailAddress},
	{"PidLidEmail2OriginalDisplayName", &PidLidEmail2OriginalDisplayName},
	{"PidLidEmail2OriginalEntryId", &PidLidEmail2OriginalEntryId},
	{"PidLidEmail3AddressType", &PidLidEmail3AddressType},
	{"PidLidEmail3DisplayName", &PidLidEmail3DisplayName},
	{"PidLidEmail3EmailAddress", &PidLidEmail3EmailAddress},
	{"PidLidEmail3OriginalDisplayName", &PidLidEmail3OriginalDisplayName},
	{"PidLidEmail3OriginalEntryId", &PidLidEmail3OriginalEntryId},
	{"PidLidEndRecurrenceDate", &PidLidEndRecurrenceDate},
	{"PidLidEndRecurrenceTime", &PidLidEndRecurrenceTime},
	{"PidLidExceptionReplaceTime", &PidLidExceptionReplaceTime},
	{"PidLidFExceptionalAttendees", &PidLidFExceptionalAttendees},
	{"PidLidFExceptionalBody", &PidLidFExceptionalBody},
	{"PidLidFInvited", &PidLidFInvited},
	{"PidLidFOthersAppointment", &PidLidFOthersAppointment},
	{"PidLidFax1AddressType", &PidLidFax1AddressType},
	{"PidLidFax1EmailAddress", &PidLidFax1EmailAddress},
	{"PidLidFax1OriginalDisplayName", &PidLidFax1OriginalDisplayName},
	{"PidLidFax1OriginalEntryId", &PidLidFax1OriginalEntryId},
	{"PidLidFax2AddressType", &PidLidFax2AddressType},
	{"PidLidFax2EmailAddress", &PidLidFax2EmailAddress},
	{"PidLidFax2OriginalDisplayName", &PidLidFax2OriginalDisplayName},
	{"PidLidFax2OriginalEntryId", &PidLidFax2OriginalEntryId},
	{"PidLidFax3AddressType", &PidLidFax3AddressType},
	{"PidLidFax3EmailAddress", &PidLidFax3EmailAddress},
	{"PidLidFax3OriginalDisplayName", &PidLidFax3OriginalDisplayName},
	{"PidLidFax3OriginalEntryId", &PidLidFax3OriginalEntryId},
	{"PidLidFileUnder", &PidLidFileUnder},
	{"PidLidFileUnderId", &PidLidFileUnderId},
	{"PidLidFileUnderList", &PidLidFileUnderList},
	{"PidLidFlagRequest", &PidLidFlagRequest},
	{"PidLidFlagString", &PidLidFlagString},
	{"PidLidForwardInstance", &PidLidForwardInstance},
	{"PidLidForwardNotificationRecipients", &PidLidForwardNotificationRecipients},
	{"PidLidFreeBusyLocation", &PidLidFreeBusyLocation},
	{"PidLidGlobalObjectId", &PidLidGlobalObjectId},
	{"PidLidHasPicture", &PidLidHasPicture},
	{"PidLidHomeAddress", &PidLidHomeAddress},
	{"PidLidHomeAddressCountryCode", &PidLidHomeAddressCountryCode},
	{"PidLidHtml", &PidLidHtml},
	{"PidLidICalendarDayOfWeekMask", &PidLidICalendarDayOfWeekMask},
	{"PidLidInboundICalStream", &PidLidInboundICalStream},
	{"PidLidInfoPathFormName", &PidLidInfoPathFormName},
	{"PidLidInstantMessagingAddress", &PidLidInstantMessagingAddress},
	{"PidLidIntendedBusyStatus", &PidLidIntendedBusyStatus},
	{"PidLidInternetAccountName", &PidLidInternetAccountName},
	{"PidLidInternetAccountStamp", &PidLidInternetAccountStamp},
	{"PidLidIsContactLinked", &PidLidIsContactLinked},
	{"PidLidIsException", &PidLidIsException},
	{"PidLidIsRecurring", &PidLidIsRecurring},
	{"PidLidIsSilent", &PidLidIsSilent},
	{"PidLidLinkedTaskItems", &PidLidLinkedTaskItems},
	{"PidLidLocation", &PidLidLocation},
	{"PidLidLogDocumentPosted", &PidLidLogDocumentPosted},
	{"PidLidLogDocumentPrinted", &PidLidLogDocumentPrinted},
	{"PidLidLogDocumentRouted", &PidLidLogDocumentRouted},
	{"PidLidLogDocumentSaved", &PidLidLogDocumentSaved},
	{"PidLidLogDuration", &PidLidLogDuration},
	{"PidLidLogEnd", &PidLidLogEnd},
	{"PidLidLogFlags", &PidLidLogFlags},
	{"PidLidLogStart", &PidLidLogStart},
	{"PidLidLogType", &PidLidLogType},
	{"PidLidLogTypeDesc", &PidLidLogTypeDesc},
	{"PidLidMeetingType", &PidLidMeetingType},
	{"PidLidMeetingWorkspaceUrl", &PidLidMeetingWorkspaceUrl},
	{"PidLidMonthInterval", &PidLidMonthInterval},
	{"PidLidMonthOfYear", &PidLidMonthOfYear},
	{"PidLidMonthOfYearMask", &PidLidMonthOfYearMask},
	{"PidLidNetShowUrl", &PidLidNetShowUrl},
	{"PidLidNoEndDateFlag", &PidLidNoEndDateFlag},
	{"PidLidNonSendBccTrackStatus", &PidLidNonSendBccTrackStatus},
	{"PidLidNonSendCcTrackStatus", &PidLidNonSendCcTrackStatus},
	{"PidLidNonSendToTrackStatus", &PidLidNonSendToTrackStatus},
	{"PidLidNonSendableBcc", &PidLidNonSendableBcc},
	{"PidLidNonSendableCc", &PidLidNonSendableCc},
	{"PidLidNonSendableTo", &PidLidNonSendableTo},
	{"PidLidNoteColor", &PidLidNoteColor},
	{"PidLidNoteHeight", &PidLidNoteHeight},
	{"PidLidNoteWidth", &PidLidNoteWidth},
	{"PidLidNoteX", &PidLidNoteX},
	{"PidLidNoteY", &PidLidNoteY},
	{"PidLidOccurrences", &PidLidOccurrences},
	{"PidLidOldLocation", &PidLidOldLocation},
	{"PidLidOldRecurrenceType", &PidLidOldRecurrenceType},
	{"PidLidOldWhenEndWhole", &PidLidOldWhenEndWhole},
	{"PidLidOldWhenStartWhole", &PidLidOldWhenStartWhole},
	{"PidLidOnlinePassword", &PidLidOnlinePassword},
	{"PidLidOptionalAttendees", &PidLidOptionalAttendees},
	{"PidLidOrganizerAlias", &PidLidOrganizerAlias},
	{"PidLidOriginalStoreEntryId", &PidLidOriginalStoreEntryId},
	{"PidLidOtherAddress", &PidLidOtherAddress},
	{"PidLidOtherAddressCountryCode", &PidLidOtherAddressCountryCode},
	{"PidLidOwnerCriticalChange", &PidLidOwnerCriticalChange},
	{"PidLidOwnerName", &PidLidOwnerName},
	{"PidLidPendingStateForSiteMailboxDocument", &PidLidPendingStateForSiteMailboxDocument},
	{"PidLidPercentComplete", &PidLidPercentComplete},
	{"PidLidPostalAddressId", &PidLidPostalAddressId},
	{"PidLidPrivate", &PidLidPrivate},
	{"PidLidPromptSendUpdate", &PidLidPromptSendUpdate},
	{"PidLidRecurrenceDuration", &PidLidRecurrenceDuration},
	{"PidLidRecurrencePattern", &PidLidRecurrencePattern},
	{"PidLidRecurrenceType", &PidLidRecurrenceType},
	{"PidLidRecurring", &PidLidRecurring},
	{"PidLidReferenceEntryId", &PidLidReferenceEntryId},
	{"PidLidReferredBy", &PidLidReferredBy},
	{"PidLidReminderDelta", &PidLidReminderDelta},
	{"PidLidReminderFileParameter", &PidLidReminderFileParameter},
	{"PidLidReminderOverride", &PidLidReminderOverride},
	{"PidLidReminderPlaySound", &PidLidReminderPlaySound},
	{"PidLidReminderSet", &PidLidReminderSet},
	{"PidLidReminderSignalTime", &PidLidReminderSignalTime},
	{"PidLidReminderTime", &PidLidReminderTime},
	{"PidLidReminderTimeDate", &PidLidReminderTimeDate},
	{"PidLidReminderTimeTime", &PidLidReminderTimeTime},
	{"PidLidReminderType", &PidLidReminderType},
	{"PidLidRemoteStatus", &PidLidRemoteStatus},
	{"PidLidRequiredAttendees", &PidLidRequiredAttendees},
	{"PidLidResourceAttendees", &PidLidResourceAttendees},
	{"PidLidResponseStatus", &PidLidResponseStatus},
	{"PidLidServerProcessed", &PidLidServerProcessed},
	{"PidLidServerProcessingActions", &PidLidServerProcessingActions},
	{"PidLidSideEffects", &PidLidSideEffects},
	{"PidLidSingleBodyICal", &PidLidSingleBodyICal},
	{"PidLidSmartNoAttach", &PidLidSmartNoAttach},
	{"PidLidSpamOriginalFolder", &PidLidSpamOriginalFolder},
	{"PidLidStartRecurrenceDate", &PidLidStartRecurrenceDate},
	{"PidLidStartRecurrenceTime", &PidLidStartRecurrenceTime},
	{"PidLidTaskAcceptanceState", &PidLidTaskAcceptanceState},
	{"PidLidTaskAccepted", &PidLidTaskAccepted},
	{"PidLidTaskActualEffort", &PidLidTaskActualEffort},
	{"PidLidTaskAssigner", &PidLidTaskAssigner},
	{"PidLidTaskAssigners", &PidLidTaskAssigners},
	{"PidLidTaskComplete", &PidLidTaskComplete},
	{"PidLidTaskCustomFlags", &PidLidTaskCustomFlags},
	{"PidLidTaskDateCompleted", &PidLidTaskDateCompleted},
	{"PidLidTaskDeadOccurrence", &PidLidTaskDeadOccurrence},
	{"PidLidTaskDueDate", &PidLidTaskDueDate},
	{"PidLidTaskEstimatedEffort", &PidLidTaskEstimatedEffort},
	{"PidLidTaskFCreator", &PidLidTaskFCreator},
	{"PidLidTaskFFixOffline", &PidLidTaskFFixOffline},
	{"PidLidTaskFRecurring", &PidLidTaskFRecurring},
	{"PidLidTaskGlobalId", &PidLidTaskGlobalId},
	{"PidLidTaskHistory", &PidLidTaskHistory},
	{"PidLidTaskLastDelegate", &PidLidTaskLastDelegate},
	{"PidLidTaskLastUpdate", &PidLidTaskLastUpdate},
	{"PidLidTaskLastUser", &PidLidTaskLastUser},
	{"PidLidTaskMode", &PidLidTaskMode},
	{"PidLidTaskMultipleRecipients", &PidLidTaskMultipleRecipients},
	{"PidLidTaskNoCompute", &PidLidTaskNoCompute},
	{"PidLidTaskOrdinal", &PidLidTaskOrdinal},
	{"PidLidTaskOwner", &PidLidTaskOwner},
	{"PidLidTaskOwnership", &PidLidTaskOwnership},
	{"PidLidTaskRecurrence", &PidLidTaskRecurrence},
	{"PidLidTaskResetReminder", &PidLidTaskResetReminder},
	{"PidLidTaskRole", &PidLidTaskRole},
	{"PidLidTaskStartDate", &PidLidTaskStartDate},
	{"PidLidTaskState", &PidLidTaskState},
	{"PidLidTaskStatus", &PidLidTaskStatus},
	{"PidLidTaskStatusOnComplete", &PidLidTaskStatusOnComplete},
	{"PidLidTaskUpdates", &PidLidTaskUpdates},
	{"PidLidTaskVersion", &PidLidTaskVersion},
	{"PidLidTeamTask", &PidLidTeamTask},
	{"PidLidTimeZone", &PidLidTimeZone},
	{"PidLidTimeZoneDescription", &PidLidTimeZoneDescription},
	{"PidLidTimeZoneStruct", &PidLidTimeZoneStruct},
	{"PidLidToAttendeesString", &PidLidToAttendeesString},
	{"PidLidToDoOrdinalDate", &PidLidToDoOrdinalDate},
	{"PidLidToDoSubOrdinal", &PidLidToDoSubOrdinal},
	{"PidLidToDoTitle", &PidLidToDoTitle},
	{"PidLidTrustRecipientHighlights", &PidLidTrustRecipientHighlights},
	{"PidLidUseTnef", &PidLidUseTnef},
	{"PidLidValidFlagStringProof", &PidLidValidFlagStringProof},
	{"PidLidVerbResponse", &PidLidVerbResponse},
	{"PidLidVerbStream", &PidLidVerbStream},
	{"PidLidWeddingAnniversaryLocal", &PidLidWeddingAnniversaryLocal},
	{"PidLidWeekInterval", &PidLidWeekInterval},
	{"PidLidWhere", &PidLidWhere},
	{"PidLidWorkAddress", &PidLidWorkAddress},
	{"PidLidWorkAddressCity", &PidLidWorkAddressCity},
	{"PidLidWorkAddressCountry", &PidLidWorkAddressCountry},
	{"PidLidWorkAddressCountryCode", &PidLidWorkAddressCountryCode},
	{"PidLidWorkAddressPostOfficeBox", &PidLidWorkAddressPostOfficeBox},
	{"PidLidWorkAddressPostalCode", &PidLidWorkAddressPostalCode},
	{"PidLidWorkAddressState", &PidLidWorkAddressState},
	{"PidLidWorkAddressStreet", &PidLidWorkAddressStreet},
	{"PidLidYearInterval", &PidLidYearInterval},
	{"PidLidYomiCompanyName", &PidLidYomiCompanyName},
	{"PidLidYomiFirstName", &PidLidYomiFirstName},
	{"PidLidYomiLastName", &PidLidYomiLastName},
	{"PidNameAcceptLanguage", &PidNameAcceptLanguage},
	{"PidNameAttachmentMacContentType", &PidNameAttachmentMacContentType},
	{"PidNameAttachmentMacInfo", &PidNameAttachmentMacInfo},
	{"PidNameAttachmentOriginalPermissionType", &PidNameAttachmentOriginalPermissionType},
	{"PidNameAttachmentPermissionType", &PidNameAttachmentPermissionType},
	{"PidNameAttachmentProviderType", &PidNameAttachmentProviderType},
	{"PidNameBirthdayContactAttributionDisplayName", &PidNameBirthdayContactAttributionDisplayName},
	{"PidNameBirthdayContactEntryId", &PidNameBirthdayContactEntryId},
	{"PidNameBirthdayContactPersonGuid", &PidNameBirthdayContactPersonGuid},
	{"PidNameContentBase", &PidNameContentBase},
	{"PidNameContentClass", &PidNameContentClass},
	{"PidNameContentType", &PidNameContentType},
	{"PidNameExchangeJunkEmailMoveStamp", &PidNameExchangeJunkEmailMoveStamp},
	{"PidNameKeywords", &PidNameKeywords},
	{"PidNamePhishingStamp", &PidNamePhishingStamp},
	{"PidNameXCallId", &PidNameXCallId},
	{"PidNameXFaxNumberOfPages", &PidNameXFaxNumberOfPages},
	{"PidNameXMailer", &PidNameXMailer},
	{"PidNameXMessageCompleted", &PidNameXMessageCompleted},
	{"PidNameXMessageFlag", &PidNameXMessageFlag},
	{"PidNameXRequireProtectedPlayOnPhone", &PidNameXRequireProtectedPlayOnPhone},
	{"PidNameXSenderTelephoneNumber", &PidNameXSenderTelephoneNumber},
	{"PidNameXSharingBrowseUrl", &PidNameXSharingBrowseUrl},
	{"PidNameXSharingCapabilities", &PidNameXSharingCapabilities},
	{"PidNameXSharingConfigUrl", &PidNameXSharingConfigUrl},
	{"PidNameXSharingExendedCaps", &PidNameXSharingExendedCaps},
	{"PidNameXSharingFlavor", &PidNameXSharingFlavor},
	{"PidNameXSharingInstanceGuid", &PidNameXSharingInstanceGuid},
	{"PidNameXSharingLocalType", &PidNameXSharingLocalType},
	{"PidNameXSharingProviderGuid", &PidNameXSharingProviderGuid},
	{"PidNameXSharingProviderName", &PidNameXSharingProviderName},
	{"PidNameXSharingProviderUrl", &PidNameXSharingProviderUrl},
	{"PidNameXSharingRemoteName", &PidNameXSharingRemoteName},
	{"PidNameXSharingRemotePath", &PidNameXSharingRemotePath},
	{"PidNameXSharingRemoteStoreUid", &PidNameXSharingRemoteStoreUid},
	{"PidNameXSharingRemoteType", &PidNameXSharingRemoteType},
	{"PidNameXSharingRemoteUid", &PidNameXSharingRemoteUid},
	{"PidNameXUnsent", &PidNameXUnsent},
	{"PidNameXVoiceMessageAttachmentOrder", &PidNameXVoiceMessageAttachmentOrder},
	{"PidNameXVoiceMessageDuration", &PidNameXVoiceMessageDuration},
	{"PidNameXVoiceMessageSenderName", &PidNameXVoiceMessageSenderName},
}
